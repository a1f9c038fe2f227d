package stack

import (
	"reflect"
	"strings"
	"testing"
)

const sample = `
Parameters:
  Name: {Type: String}
  Ids: {Type: CommaDelimitedList, Default: "a, b"}
  Way: {Type: String, Default: long, AllowedValues: [long, short]}
Conditions:
  Long: !Equals [!Ref Way, long]
  Both: !And [!Condition Long, !Not [!Equals [!Ref Name, ""]]]
Mappings:
  Hours: {"1": {Seconds: 3600}}
Resources:
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: !Sub q-${Name}
      Age: !FindInMap [Hours, "1", Seconds]
      Tags: !If [Both, [{Key: k}], !Ref AWS::NoValue]
      Policy:
        Statement:
          - Resource: !GetAtt Queue.Arn
            Condition: {StringEquals: {"aws:x": "${!aws:RequestTag/a:b}"}}
          - Condition: {ArnLike: {"aws:y": !Sub "${Other.Arn}/${!ec2:InstanceId}"}}
          - !If [Both, !Ref AWS::NoValue, {Sid: short}]
      All: !Split [",", !Sub ["x/${List}", {List: !Join [",x/", !Ref Ids]}]]
      From: !ImportValue {"Fn::Sub": "${Name}-Topic"}
  Other:
    Type: AWS::SQS::Queue
    Properties: {QueueName: other}
  Gone:
    Type: AWS::SQS::Queue
    Condition: Long
Outputs:
  Url: {Value: !Ref Queue, Export: {Name: !Sub "${AWS::StackName}-Url"}}
`

func TestResolve(t *testing.T) {
	read, err := parse([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	env := Env{Name: "s", Parameters: map[string]string{"Name": "db1"}, Imports: map[string]string{"db1-Topic": "arn:t"}}
	s, err := read.Resolve(env)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"QueueName": "q-db1", "Age": int64(3600), "Tags": []any{map[string]any{"Key": "k"}},
		"Policy": map[string]any{"Statement": []any{
			map[string]any{"Resource": "arn:aws:sqs:eu-west-1:111122223333:q-db1", "Condition": map[string]any{"StringEquals": map[string]any{"aws:x": "${!aws:RequestTag/a:b}"}}},
			map[string]any{"Condition": map[string]any{"ArnLike": map[string]any{"aws:y": "arn:aws:sqs:eu-west-1:111122223333:other/${ec2:InstanceId}"}}},
		}},
		"All": []any{"x/a", "x/b"}, "From": "arn:t",
	}
	if got := s.Resources["Queue"].Properties; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if url := "https://sqs.eu-west-1.amazonaws.com/111122223333/q-db1"; s.Outputs["Url"] != url || s.Exports["s-Url"] != url {
		t.Errorf("outputs %v, exports %v", s.Outputs, s.Exports)
	}
	env.Parameters["Way"] = "short"
	if s, err = read.Resolve(env); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Resources["Gone"]; ok {
		t.Error("a resource is there whose condition does not hold")
	}
	if _, ok := s.Resources["Queue"].Properties["Tags"]; ok {
		t.Error("a property is there that has no value")
	}
}

func TestResolveRefuses(t *testing.T) {
	for what, text := range map[string]string{
		"neither a parameter nor a resource": "Resources:\n  A: {Type: AWS::SQS::Queue, Properties: {X: !Ref B}}",
		"is not known here":                  "Resources:\n  A: {Type: AWS::SQS::Queue, Properties: {X: !Cidr [a]}}",
		"no stack exports":                   "Resources:\n  A: {Type: AWS::SQS::Queue, Properties: {X: !ImportValue a}}",
		"has no attribute":                   "Resources:\n  A: {Type: AWS::SQS::Queue, Properties: {X: !GetAtt A.Wrong}}",
		"has no value":                       "Parameters:\n  P: {Type: String}",
		"condition does not hold":            "Conditions:\n  No: !Equals [a, b]\nResources:\n  A: {Type: AWS::SQS::Queue, Condition: No}\n  B: {Type: AWS::SQS::Queue, Properties: {X: !Ref A}}",
		"already defined":                    "Resources:\n  A: {Type: a, Type: b}",
	} {
		read, err := parse([]byte(text))
		if err == nil {
			_, err = read.Resolve(Env{Name: "s"})
		}
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("got %v, want %q", err, what)
		}
	}
}
