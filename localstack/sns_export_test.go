package localstack

import (
	"stillpoint/localstack/internal/sns"
	"stillpoint/localstack/internal/wire"
)

// SNS is a dump of SNS, by which tests see what is on its way.
func (s *Server) SNS() sns.State { return s.sns.State().(sns.State) }

// PublishAs publishes as a service does.
func (s *Server) PublishAs(principal, source, topicARN, text string) *wire.Error {
	caller := wire.Caller{Principal: principal, Account: s.config.AccountID, Region: s.config.Region, Source: source}
	_, apiErr := s.invoke(s.life, caller, s.sns.Publish(topicARN, sns.Message{Text: text}))
	return apiErr
}
