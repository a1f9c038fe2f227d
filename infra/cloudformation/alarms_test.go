package cloudformation

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"stillpoint/test/stack"
)

func TestAlarms(t *testing.T) {
	fleet, instance := both(t, stack.Env{})
	// Metric, dimension, comparison and what missing data means: a queue that was empty for six hours has no figures.
	want := map[string]string{
		"stillpoint-db1-dead-letters":        "ApproximateNumberOfMessagesVisible of stillpoint-db1-dead, Maximum over 60 s, 1 times GreaterThanOrEqualToThreshold 1, else notBreaching",
		"stillpoint-db1-oldest-message":      "ApproximateAgeOfOldestMessage of stillpoint-db1, Maximum over 60 s, 3 times GreaterThanOrEqualToThreshold 1800, else notBreaching",
		"stillpoint-db1-no-success":          "ApproximateNumberOfMessagesVisible of stillpoint-db1-success, Maximum over 300 s, 3 times LessThanThreshold 1, else breaching",
		"stillpoint-stillpoint-inconsistent": "ApproximateNumberOfMessagesVisible of stillpoint-inconsistent, Maximum over 60 s, 1 times GreaterThanOrEqualToThreshold 1, else notBreaching",
		"stillpoint-stillpoint-failed":       "ApproximateNumberOfMessagesVisible of stillpoint-failed, Maximum over 60 s, 1 times GreaterThanOrEqualToThreshold 1, else notBreaching",
		"stillpoint-stillpoint-undelivered":  "ApproximateNumberOfMessagesVisible of stillpoint-undelivered, Maximum over 60 s, 1 times GreaterThanOrEqualToThreshold 1, else notBreaching",
	}
	for _, s := range []*stack.Stack{fleet, instance} {
		for id, r := range s.Resources {
			if r.Type != "AWS::CloudWatch::Alarm" {
				continue
			}
			p := r.Properties
			name := p["AlarmName"].(string)
			got := fmt.Sprintf("%v of %v, %v over %v s, %v times %v %v, else %v", p["MetricName"], p["Dimensions"].([]any)[0].(map[string]any)["Value"],
				p["Statistic"], p["Period"], p["EvaluationPeriods"], p["ComparisonOperator"], p["Threshold"], p["TreatMissingData"])
			if got != want[name] {
				t.Errorf("%s (%s)\ngot  %s\nwant %s", name, id, got, want[name])
			}
			delete(want, name)
			for _, actions := range []string{"AlarmActions", "OKActions"} {
				if fmt.Sprint(p[actions]) != "["+fleet.Outputs["AlarmsTopic"]+"]" {
					t.Errorf("%s: %s are %v", name, actions, p[actions])
				}
			}
			if description := p["AlarmDescription"].(string); len(description) > 1024 || strings.Contains(description, "${") {
				t.Errorf("%s: %s", name, description)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("there is no alarm for %v", want)
	}
	// CloudWatch may publish for alarms that are called so, and use the key.
	for _, document := range []any{fleet.Resources["Key"].Properties["KeyPolicy"], fleet.Resources["AlarmsTopicPolicy"].Properties["PolicyDocument"]} {
		if text, _ := json.Marshal(document); !strings.Contains(string(text), `"aws:SourceArn":"arn:aws:cloudwatch:eu-west-1:111122223333:alarm:stillpoint-*"`) {
			t.Errorf("alarms are not let in: %s", text)
		}
	}
}

// The hours of the alarm are those that its queue remembers.
func TestNoSuccessHours(t *testing.T) {
	read, err := stack.Read("instance.yaml")
	if err != nil {
		t.Fatal(err)
	}
	hours := read.Parameters["NoSuccessHours"].(map[string]any)["AllowedValues"].([]any)
	for _, h := range hours {
		n, err := strconv.Atoi(h.(string))
		if err != nil {
			t.Fatal(err)
		}
		_, s := both(t, stack.Env{Parameters: map[string]string{"NoSuccessHours": h.(string)}})
		queue, watched := s.Resources["Successes"]
		_, alarm := s.Resources["NoSuccess"]
		if n == 0 {
			if watched || alarm {
				t.Error("0 hours are watched")
			}
			continue
		}
		// SQS keeps messages for 60 seconds to 14 days.
		if seconds := queue.Properties["MessageRetentionPeriod"]; seconds != int64(n*3600) || n > 14*24 || !alarm {
			t.Errorf("%s hours are %v seconds", h, seconds)
		}
	}
	if _, s := both(t, stack.Env{Parameters: map[string]string{"ScheduleBy": "nothing"}}); s.Resources["NoSuccess"].Type != "" {
		t.Error("without a schedule there is an alarm that it does not succeed")
	}
}

func TestDashboard(t *testing.T) {
	fleet, _ := both(t, stack.Env{})
	var body struct {
		Widgets []struct {
			Type       string
			Properties map[string]any
		}
	}
	text := fleet.Resources["Dashboard"].Properties["DashboardBody"].(string)
	if err := json.Unmarshal([]byte(text), &body); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if len(body.Widgets) < 5 || strings.Contains(text, "${") {
		t.Errorf("got %s", text)
	}
	for _, queue := range []string{"stillpoint-inconsistent", "stillpoint-undelivered", "stillpoint-failed", "stillpoint-results"} {
		if !strings.Contains(text, queue) {
			t.Errorf("the dashboard does not show %s", queue)
		}
	}
}
