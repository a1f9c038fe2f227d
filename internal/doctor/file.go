package doctor

import "fmt"

// JudgeFile says what can be done with what the file holds: the worker needs
// queue, topic and a plan, `stillpoint snapshot` none of them.
func JudgeFile(queue, topic, plans bool) Finding {
	switch {
	case queue && topic && !plans:
		return Bad("there is no plan: the worker does not start", "add one under plans: the mount points to freeze, and mysql")
	case queue && topic:
		return Good("it names a queue and a topic")
	case queue:
		return Bad("there is a queue_url and no topic_arn: the worker does not start", "add topic_arn: the ARN of the SNS topic for results")
	case topic:
		return Poor("there is no queue_url: the worker does not start; `stillpoint snapshot` works, and publishes", "add queue_url where requests are to come from a queue")
	}
	return Poor("there is neither queue_url nor topic_arn: the worker does not start; `stillpoint snapshot` works, and nobody hears of it", "add both where requests are to come from a queue; add topic_arn where snapshots are made by a timer")
}

// JudgeRuntimeDir judges where the record of what is frozen is kept. memory says
// that it lies on a tmpfs; err is why that is not known.
func JudgeRuntimeDir(dir string, memory bool, err error) Finding {
	switch {
	case err != nil:
		return Unchecked(fmt.Sprintf("where %s lies: %v", dir, err), "see by df "+dir)
	case !memory:
		return Poor(fmt.Sprintf("%s is not in memory: the record of what is frozen would be written to a disk while file systems are frozen", dir), "use a directory under /run, which is a tmpfs")
	}
	return Good(dir + " is in memory")
}
