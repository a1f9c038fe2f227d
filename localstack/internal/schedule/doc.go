// Package schedule reads the schedule expressions of Amazon EventBridge rules and of EventBridge Scheduler - rate(5 minutes),
// cron(0 10 ? * MON-FRI *), at(2026-11-20T13:00:00) - and says when they run next. It has no clock, no goroutine and no state:
// the caller says what time it is, waits, and asks again. Only LoadZone looks outside, for the machine's zone database.
//
// It holds to what AWS documents:
//
//   - rules: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
//   - Scheduler: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
//
// What neither explains is refused, as a schedule that works here and not at AWS would be found out too late: LW and L-3 as a
// day of the month, L or nW in a list, steps of days of the week. Where a schedule needs an answer that the documents do not
// give, the comment says "not documented".
package schedule
