package conformance

import (
	"encoding/xml"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// ec2Instances are instances, and what all actions share.
var ec2Instances = []behaviour{
	{
		ID: "ec2-instance-missing", Service: theEC2,
		Says:   "DescribeInstances of an id that is not there is InvalidInstanceID.NotFound, HTTP 400; so is the status for what is no id.",
		Source: from(ec2Client, ec2Common, ec2Codes),
		Run: func(c *check) {
			c.calm()
			describe := func(id string) error {
				_, err := c.ec2.DescribeInstances(c.ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
				return err
			}
			c.refused("missing", describe(noInstance), 400, "InvalidInstanceID.NotFound")
			c.refused("malformed", describe("i-zz"), 400)
		},
	},
	{
		ID: "ec2-ids-of-a-region", Service: theEC2,
		Says:   "An instance or a volume is not there in another region: DescribeInstances is InvalidInstanceID.NotFound, DescribeVolumes InvalidVolume.NotFound, and without ids they list nothing of it.",
		Source: from(in("ec2", "resources", page), in("ec2", "using-regions-availability-zones", guide), ec2Codes),
		Run: func(c *check) {
			c.calm()
			volume := c.volume(nil)
			out := must(c.ec2.RunInstances(c.ctx, &ec2.RunInstancesInput{ImageId: ptr("ami-12345678"), MinCount: ptr(int32(1)), MaxCount: ptr(int32(1))}))(c)
			id := *out.Instances[0].InstanceId
			elsewhere := func(o *ec2.Options) { o.Region = "us-east-1" }
			_, err := c.ec2.DescribeInstances(c.ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}}, elsewhere)
			c.refused("the instance", err, 400, "InvalidInstanceID.NotFound")
			_, err = c.ec2.DescribeVolumes(c.ctx, &ec2.DescribeVolumesInput{VolumeIds: []string{volume}}, elsewhere)
			c.refused("the volume", err, 400, "InvalidVolume.NotFound")
			all := must(c.ec2.DescribeVolumes(c.ctx, &ec2.DescribeVolumesInput{}, elsewhere))(c)
			for _, v := range all.Volumes {
				c.is("it is not listed", *v.VolumeId != volume)
			}
		},
	},
	{
		ID: "ec2-instance-bdm", Service: theEC2,
		Says: "DescribeInstances lists all volumes of an instance in BlockDeviceMappings, that at RootDeviceName included, each with its device, " +
			"state, time and whether it goes with the instance.",
		Source: from(api("ec2", "DescribeInstances"), api("ec2", "EbsInstanceBlockDevice")),
		Run: func(c *check) {
			c.calm()
			mapping := func(device string, size int32, gone *bool) ec2types.BlockDeviceMapping {
				return ec2types.BlockDeviceMapping{DeviceName: &device, Ebs: &ec2types.EbsBlockDevice{VolumeSize: &size, DeleteOnTermination: gone}}
			}
			out := must(c.ec2.RunInstances(c.ctx, &ec2.RunInstancesInput{
				ImageId: ptr("ami-12345678"), MinCount: ptr(int32(1)), MaxCount: ptr(int32(1)),
				BlockDeviceMappings: []ec2types.BlockDeviceMapping{mapping("/dev/sdf", 1, yes), mapping("/dev/sdg", 2, nil)},
			}))(c)
			i := c.instance(*out.Instances[0].InstanceId)
			devices := map[string]*ec2types.EbsInstanceBlockDevice{}
			for _, m := range i.BlockDeviceMappings {
				devices[*m.DeviceName] = m.Ebs
				c.is("each is attached, since a time", m.Ebs != nil && m.Ebs.Status == ec2types.AttachmentStatusAttached && m.Ebs.AttachTime != nil)
			}
			c.equal("volumes", len(devices), 3)
			c.is("one is the root volume", devices[value(i.RootDeviceName)] != nil, value(i.RootDeviceName))
			c.need("those that were asked for are there", devices["/dev/sdf"] != nil && devices["/dev/sdg"] != nil)
			c.equal("one goes with the instance", value(devices["/dev/sdf"].DeleteOnTermination), true)
			c.equal("size", value(c.describeVolume(*devices["/dev/sdg"].VolumeId).Size), int32(2))
		},
	},
	{
		ID: "ec2-error-xml", Service: theEC2,
		Says:   "An error is XML: Response, Errors, Error, with Code and Message, and RequestID; an action that there is not is HTTP 400.",
		Source: from(ec2Common),
		Run: func(c *check) {
			r := must(http.NewRequestWithContext(c.ctx, http.MethodPost, c.url+"/", strings.NewReader("Action=DescribeNothing&Version=2016-11-15")))(c)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/"+region+"/ec2/aws4_request, SignedHeaders=host, Signature=0")
			answer := must(c.http.Do(r))(c)
			defer answer.Body.Close()
			body := must(io.ReadAll(answer.Body))(c)
			c.equal("status", answer.StatusCode, 400)
			var got struct {
				XMLName   xml.Name `xml:"Response"`
				Code      string   `xml:"Errors>Error>Code"`
				Message   string   `xml:"Errors>Error>Message"`
				RequestID string
			}
			if c.ok("XML", xml.Unmarshal(body, &got)) {
				c.is("code, message and request id", got.Code != "" && got.Message != "" && got.RequestID != "", string(body))
			}
		},
	},
}
