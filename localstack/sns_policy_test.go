package localstack_test

import (
	"strings"
	"testing"
	"time"

	"stillpoint/localstack"
)

func TestDeliveryPolicy(t *testing.T) {
	c := start(t, localstack.Config{})
	arn := c.bareTopic(t, "results")
	h := c.hook(t, nil)
	sub := c.hooked(t, arn, h, nil)
	must(struct{}{}, c.setSub(t, sub, "DeliveryPolicy", `{"healthyRetryPolicy":{"minDelayTarget":2,"maxDelayTarget":4,"numRetries":6,"numNoDelayRetries":1,"numMinDelayRetries":1,"numMaxDelayRetries":1}}`))(t)
	if got := c.subAttributes(t, sub); !strings.Contains(got["DeliveryPolicy"], `"sicklyRetryPolicy":null`) || !strings.Contains(got["EffectiveDeliveryPolicy"], `"headerContentType":"text/plain; charset=UTF-8"`) {
		t.Errorf("the attributes are %v", got)
	}
	h.answers(500, 500, 500, 500, 500, 500, 500)
	c.publish(t, arn, "x")
	for n, want := range []time.Duration{2 * time.Second, 2 * time.Second, 3 * time.Second, 4 * time.Second, 4 * time.Second} { // after one at once
		d := c.waits(t, n+2)
		c.MoveClock(want - 100*time.Millisecond)
		if len(h.all()) != n+3 {
			t.Errorf("retry %d came early: %+v", n+2, d)
		}
		c.MoveClock(100 * time.Millisecond)
	}
	c.idle(t)
	if got := len(h.all()); got != 8 {
		t.Errorf("%d requests", got)
	}

	// The topic's policy is for those without one, or for all.
	must(struct{}{}, c.setTopic(t, arn, "DeliveryPolicy", `{"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":7,"maxDelayTarget":7,"numRetries":1},"disableSubscriptionOverrides":true,"defaultRequestPolicy":{"headerContentType":"application/json"}}}`))(t)
	h.answers(500)
	c.publish(t, arn, "y")
	c.waits(t, 1)
	c.MoveClock(7 * time.Second)
	c.idle(t)
	if all := h.all(); len(all) != 10 || all[9].header.Get("Content-Type") != "application/json" {
		t.Errorf("%d requests, the last with %v", len(all), all[len(all)-1].header)
	}
}

func TestThrottlePolicy(t *testing.T) {
	c := start(t, localstack.Config{})
	arn := c.bareTopic(t, "results")
	h := c.hook(t, nil)
	c.hooked(t, arn, h, map[string]string{"DeliveryPolicy": `{"throttlePolicy":{"maxReceivesPerSecond":1}}`})
	for range 4 {
		c.publish(t, arn, "x")
	}
	eventually(t, "three wait for their turn", func() bool {
		n := 0
		for _, d := range c.SNS().Deliveries {
			if d.Waiting {
				n++
			}
		}
		return n == 3
	})
	first := h.nth(t, 2).at
	c.MoveClock(time.Minute)
	all := h.all() // the fourth is due three seconds after the first, which itself may have been late
	if len(all) != 5 || all[4].at.Sub(first) < 2*time.Second || all[4].at.Sub(first) > 10*time.Second {
		t.Errorf("%d requests, the last %v after the first", len(all), all[len(all)-1].at.Sub(first))
	}

	// A retry has to wait for its turn too.
	must(struct{}{}, c.setSub(t, c.only(t, arn), "DeliveryPolicy", `{"throttlePolicy":{"maxReceivesPerSecond":1},"healthyRetryPolicy":{"minDelayTarget":1,"maxDelayTarget":1,"numRetries":1,"numNoDelayRetries":1}}`))(t)
	h.answers(500)
	c.publish(t, arn, "y")
	c.waits(t, 1)
	c.MoveClock(time.Second)
	c.idle(t)
	if got := len(h.all()); got != 7 {
		t.Errorf("%d requests", got)
	}
}

func TestDeliveryPolicyRefuses(t *testing.T) {
	c := start(t, localstack.Config{})
	arn := c.bareTopic(t, "results")
	h := c.hook(t, nil)
	sub := c.hooked(t, arn, h, nil)
	for name, policy := range map[string]string{
		"no JSON":     `{`,
		"unknown":     `{"colour":"red"}`,
		"no number":   `{"healthyRetryPolicy":{"minDelayTarget":1,"maxDelayTarget":1}}`,
		"zero delay":  `{"healthyRetryPolicy":{"minDelayTarget":0,"maxDelayTarget":1,"numRetries":1}}`,
		"many":        `{"healthyRetryPolicy":{"minDelayTarget":1,"maxDelayTarget":1,"numRetries":101}}`,
		"upside down": `{"healthyRetryPolicy":{"minDelayTarget":3,"maxDelayTarget":2,"numRetries":1}}`,
		"parts":       `{"healthyRetryPolicy":{"minDelayTarget":1,"maxDelayTarget":1,"numRetries":1,"numNoDelayRetries":2}}`,
		"function":    `{"healthyRetryPolicy":{"minDelayTarget":1,"maxDelayTarget":1,"numRetries":1,"backoffFunction":"random"}}`,
		"over 1 h":    `{"healthyRetryPolicy":{"minDelayTarget":100,"maxDelayTarget":100,"numRetries":37}}`,
		"throttle":    `{"throttlePolicy":{"maxReceivesPerSecond":0}}`,
		"type":        `{"requestPolicy":{"headerContentType":"text/csv"}}`,
		"sickly":      `{"sicklyRetryPolicy":{}}`,
		"guaranteed":  `{"guaranteed":true}`,
	} {
		t.Run(name, func(t *testing.T) { wantCode(t, c.setSub(t, sub, "DeliveryPolicy", policy), "InvalidParameter") })
	}
	must(struct{}{}, c.setSub(t, sub, "DeliveryPolicy", `{"healthyRetryPolicy":{"minDelayTarget":100,"maxDelayTarget":100,"numRetries":36},"sicklyRetryPolicy":null}`))(t)
}
