// Package probe is how the lab observes: the line protocol between the server
// and the netpol-probe in every lab pod, the verdicts, the dialling itself, and
// the Prober that keeps one stream open per pod.
//
// It depends on the standard library alone, so that the binary in the pods
// stays small.
package probe

// Verdict is what a probe observed of a flow, or why it could not.
type Verdict string

// The verdicts. None is ever mapped to another.
const (
	// Open: the destination answered and said who it is.
	Open Verdict = "open"
	// Refused: the destination's host answered that nobody listens. Over UDP a
	// host says so only about once a second to each asker; the rest is silence.
	Refused Verdict = "refused"
	// Blocked: no answer came.
	Blocked Verdict = "blocked"
	// DNSFailed: the name could not be resolved, so nothing was dialled.
	DNSFailed Verdict = "dns-failed"
	// Unknown: it could not be measured.
	Unknown Verdict = "unknown"
)

// Silent is what a hurried request comes to where no answer came in its time. It means
// nothing, so it is no verdict: nobody is ever told it of a flow.
const Silent = "silent"

// Kind says what a request does.
type Kind string

// The kinds of requests.
const (
	// DialTCP connects, and reads who answers.
	DialTCP Kind = "tcp"
	// DialUDP sends a datagram, and reads who answers.
	DialUDP Kind = "udp"
	// Connect connects and says nothing, for a server that is none of the lab's:
	// that there is a connection is Open, and nobody says who answered.
	Connect Kind = "tcp-connect"
	// AskDNSUDP and AskDNSTCP send one DNS question for Host to Address; any
	// well-formed answer to it is Open.
	AskDNSUDP Kind = "dns-udp"
	AskDNSTCP Kind = "dns-tcp"
)

// Request asks a pod's probe to measure one flow over a fresh connection. One
// line of JSON each on the probe's standard input.
type Request struct {
	// ID comes back in the Response. On the line it counts from 1.
	ID   uint64 `json:"id"`
	Kind Kind   `json:"kind"`
	// Address is "ip:port". For a dial by name it is ":port", and Host is
	// resolved first.
	Address string `json:"address"`
	// Host is the fully qualified name, with its final dot, to resolve before
	// a dial, or to ask for.
	Host string `json:"host,omitempty"`
	// Resolver is the "ip:port" of the DNS server that resolves Host for a dial.
	Resolver string `json:"resolver,omitempty"`
	// TimeoutMillis is how long to wait for an answer, for the resolution and for the dial each.
	TimeoutMillis int64 `json:"timeoutMillis"`
	// Hurried asks whether the flow is open by now: without an answer after the timeout
	// the response is Silent, and nothing is waited for that would tell silence from slowness.
	Hurried bool `json:"hurried,omitempty"`
}

// helloLine is the first line on the probe's standard output: it tells that the
// probe runs and reads.
var helloLine = Response{Verdict: "hello"}

// Response is what came of the Request with the same ID. One line of JSON each
// on the probe's standard output, in the order of completion. A line with the
// ID 0 and the verdict "hello" comes first.
type Response struct {
	ID      uint64  `json:"id"`
	Verdict Verdict `json:"verdict"`
	// LatencyMicros is the time from the first packet to the answer.
	LatencyMicros int64 `json:"latencyMicros,omitempty"`
	// Server is who answered, as the answer says.
	Server string `json:"server,omitempty"`
	// Detail says in plain English why the verdict is unknown, refused or dns-failed.
	Detail string `json:"detail,omitempty"`
}
