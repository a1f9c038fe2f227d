package events

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"stillpoint/localstack/internal/constraint"
	"stillpoint/localstack/internal/wire"
)

// defaultBus is the one that is always there, and the only one that rules with a schedule can be on.
const defaultBus = "default"

// maxBuses is the quota of an account: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
const maxBuses = 100

type bus struct {
	name        string
	description string
	created     time.Time
	tags        tags
	rules       map[string]*rule // by name
}

func (b *bus) sorted() []*rule {
	out := make([]*rule, 0, len(b.rules))
	for _, name := range slices.Sorted(maps.Keys(b.rules)) {
		out = append(out, b.rules[name])
	}
	return out
}

func (s *Service) busARN(name string) string {
	return "arn:aws:events:" + s.Region + ":" + s.Account + ":event-bus/" + name
}

// bus finds the bus that a name or an ARN means; empty is the default one.
func (s *Service) bus(nameOrARN string) (*bus, *wire.Error) {
	name := strings.TrimPrefix(nameOrARN, s.busARN(""))
	if name == "" {
		name = defaultBus
	}
	b, ok := s.buses[name]
	if !ok {
		return nil, missing("Event bus %s does not exist.", name)
	}
	return b, nil
}

var busName = regexp.MustCompile(`^[/\.\-_A-Za-z0-9]+$`)

type busInput struct {
	Name        string
	Description string
	Tags        []tag
}

type busOutput struct {
	Name             string
	Arn              string
	Description      string  `json:",omitempty"`
	CreationTime     float64 // in seconds since 1970
	LastModifiedTime float64
}

func (s *Service) showBus(b *bus) busOutput {
	at := float64(b.created.Unix())
	return busOutput{b.name, s.busARN(b.name), b.description, at, at}
}

type createBusOutput struct {
	EventBusArn string
	Description string `json:",omitempty"`
}

func (s *Service) createEventBus(c *wire.Call, in busInput) (createBusOutput, *wire.Error) {
	var checks constraint.Checks
	checks.Text("name", in.Name, 1, 256, busName)
	checks.Text("description", in.Description, 0, 512, nil)
	if apiErr := checks.Err(); apiErr != nil {
		return createBusOutput{}, apiErr
	}
	if strings.Contains(in.Name, "/") {
		return createBusOutput{}, invalid("Event bus name %s is not valid: custom event bus names can't contain the / character, and localstack has no partner event buses.", in.Name)
	}
	c.About(s.busARN(in.Name))
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.buses[in.Name]; ok {
		return createBusOutput{}, wire.Errorf("ResourceAlreadyExistsException", "Event bus %s already exists.", in.Name)
	}
	if len(s.buses) >= maxBuses {
		return createBusOutput{}, tooMany()
	}
	t, apiErr := tags{}.with(in.Tags)
	if apiErr != nil {
		return createBusOutput{}, apiErr
	}
	s.buses[in.Name] = &bus{name: in.Name, description: in.Description, created: s.Clock.Now(), tags: t, rules: map[string]*rule{}}
	return createBusOutput{s.busARN(in.Name), in.Description}, nil
}

// deleteEventBus succeeds for a bus that is not there. "All rules associated with this event bus need to be deleted", says the
// API reference, not how it refuses otherwise.
func (s *Service) deleteEventBus(c *wire.Call, in busInput) (none, *wire.Error) {
	c.About(s.busARN(in.Name))
	s.mu.Lock()
	defer s.mu.Unlock()
	if in.Name == defaultBus {
		return none{}, invalid("Cannot delete event bus default.")
	}
	if b, ok := s.buses[in.Name]; ok && len(b.rules) > 0 {
		return none{}, invalid("Event bus %s can't be deleted since it has rules.", in.Name)
	}
	delete(s.buses, in.Name)
	return none{}, nil
}

func (s *Service) describeEventBus(c *wire.Call, in busInput) (busOutput, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, apiErr := s.bus(in.Name)
	if apiErr != nil {
		return busOutput{}, apiErr
	}
	c.About(s.busARN(b.name))
	return s.showBus(b), nil
}

type listBusesInput struct {
	NamePrefix string
	NextToken  string
	Limit      *int
}

type listBusesOutput struct {
	EventBuses []busOutput
	NextToken  string `json:",omitempty"`
}

func (s *Service) listEventBuses(_ *wire.Call, in listBusesInput) (listBusesOutput, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []busOutput
	for _, name := range slices.Sorted(maps.Keys(s.buses)) {
		if strings.HasPrefix(name, in.NamePrefix) {
			list = append(list, s.showBus(s.buses[name]))
		}
	}
	list, token, apiErr := page(list, func(b busOutput) string { return b.Name }, in.NextToken, in.Limit)
	return listBusesOutput{list, token}, apiErr
}
