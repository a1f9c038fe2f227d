package stack

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// call does a function of a template.
func (r *resolver) call(name string, argument any) (any, error) {
	switch name {
	case "Ref":
		return r.ref(argument.(string))
	case "Condition":
		return r.condition(argument.(string))
	case "Fn::Sub":
		return r.sub(argument)
	case "Fn::GetAtt":
		list := argument.([]any)
		return r.attribute(list[0].(string), list[1].(string))
	case "Fn::ImportValue":
		export, err := r.text(argument)
		if err != nil {
			return nil, err
		}
		v, ok := r.Imports[export]
		if !ok {
			return nil, fmt.Errorf("no stack exports %s", export)
		}
		return v, nil
	case "Fn::If":
		list := argument.([]any)
		holds, err := r.condition(list[0].(string))
		if err != nil {
			return nil, err
		}
		if holds {
			return r.value(list[1])
		}
		return r.value(list[2])
	}
	list, err := r.value(argument)
	if err != nil {
		return nil, err
	}
	arguments, ok := list.([]any)
	if !ok {
		return nil, fmt.Errorf("%s of %v", name, list)
	}
	return apply(name, arguments, r.t.Mappings)
}

// apply does a function whose arguments are resolved.
func apply(name string, arguments []any, mappings map[string]any) (any, error) {
	switch name {
	case "Fn::Equals":
		return fmt.Sprint(arguments[0]) == fmt.Sprint(arguments[1]), nil
	case "Fn::Not":
		return !arguments[0].(bool), nil
	case "Fn::And":
		for _, a := range arguments {
			if !a.(bool) {
				return false, nil
			}
		}
		return true, nil
	case "Fn::Or":
		return slices.Contains(arguments, any(true)), nil
	case "Fn::Join":
		return strings.Join(texts(arguments[1].([]any)), arguments[0].(string)), nil
	case "Fn::Split":
		out := []any{}
		for _, part := range strings.Split(arguments[1].(string), arguments[0].(string)) {
			out = append(out, part)
		}
		return out, nil
	case "Fn::FindInMap":
		m, _ := mappings[arguments[0].(string)].(map[string]any)
		row, _ := m[fmt.Sprint(arguments[1])].(map[string]any)
		v, ok := row[arguments[2].(string)]
		if !ok {
			return nil, fmt.Errorf("the mapping %v has no %v, %v", arguments...)
		}
		return v, nil
	}
	return nil, fmt.Errorf("the function %s is not known here", name)
}

func (r *resolver) ref(name string) (any, error) {
	pseudo := map[string]any{
		"AWS::Region": Region, "AWS::AccountId": Account, "AWS::Partition": "aws", "AWS::URLSuffix": "amazonaws.com",
		"AWS::StackName": r.Name, "AWS::NoValue": none{},
	}
	if v, ok := pseudo[name]; ok {
		return v, nil
	}
	if v, ok := r.params[name]; ok {
		return v, nil
	}
	return r.attribute(name, "")
}

var variable = regexp.MustCompile(`\$\{([^}]+)\}`)

// sub is Fn::Sub in both of its forms. ${!x} is the text ${x}.
func (r *resolver) sub(argument any) (any, error) {
	template, own := argument, map[string]any{}
	if list, ok := argument.([]any); ok {
		template, own = list[0], list[1].(map[string]any)
	}
	var failed error
	out := variable.ReplaceAllStringFunc(template.(string), func(found string) string {
		name := found[2 : len(found)-1]
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			return "${" + literal + "}"
		}
		what := any(map[string]any{"Ref": name})
		if v, ok := own[name]; ok {
			what = v
		} else if id, attribute, ok := strings.Cut(name, "."); ok {
			what = map[string]any{"Fn::GetAtt": []any{id, attribute}}
		}
		v, err := r.text(what)
		if err != nil {
			failed = fmt.Errorf("%s: %w", found, err)
		}
		return v
	})
	return out, failed
}

// attribute is what Ref (attribute is empty) or GetAtt gives of a resource.
func (r *resolver) attribute(id, attribute string) (any, error) {
	body, ok := r.t.Resources[id].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("there is neither a parameter nor a resource %s", id)
	}
	if there, err := r.there(body); err != nil || !there {
		return nil, fmt.Errorf("%s is referred to where its condition does not hold (%w)", id, err)
	}
	kind := body["Type"].(string)
	properties, _ := body["Properties"].(map[string]any)
	name := func(property string) (string, error) {
		if _, ok := properties[property]; !ok {
			return r.Name + "-" + id, nil // CloudFormation adds some letters
		}
		return r.text(properties[property])
	}
	arn := func(format, property string) (any, error) {
		n, err := name(property)
		return fmt.Sprintf("arn:aws:"+format, n), err
	}
	here := Region + ":" + Account + ":"
	switch kind + " " + attribute {
	case "AWS::SQS::Queue ":
		n, err := name("QueueName")
		if r.QueueURL != nil {
			return r.QueueURL(n), err
		}
		return "https://sqs." + Region + ".amazonaws.com/" + Account + "/" + n, err
	case "AWS::SQS::Queue Arn":
		return arn("sqs:"+here+"%s", "QueueName")
	case "AWS::SQS::Queue QueueName":
		return name("QueueName")
	case "AWS::SNS::Topic ":
		return arn("sns:"+here+"%s", "TopicName")
	case "AWS::SNS::Topic TopicName":
		return name("TopicName")
	case "AWS::KMS::Key Arn":
		return arn("kms:"+here+"key/%s", "")
	case "AWS::KMS::Key ", "AWS::IAM::Role ", "AWS::IAM::InstanceProfile ":
		return name("")
	case "AWS::IAM::Role Arn":
		return arn("iam::"+Account+":role/%s", "RoleName")
	case "AWS::IAM::ManagedPolicy ":
		return arn("iam::"+Account+":policy/%s", "ManagedPolicyName")
	case "AWS::Events::Rule Arn":
		return arn("events:"+here+"rule/%s", "Name")
	case "AWS::CloudWatch::Alarm Arn":
		return arn("cloudwatch:"+here+"alarm:%s", "AlarmName")
	}
	return nil, fmt.Errorf("%s (%s) has no attribute %q here", id, kind, attribute)
}
