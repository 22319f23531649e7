package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/netpol-lab/netpol-lab/sandbox"
	"github.com/netpol-lab/netpol-lab/sandbox/probe"
)

// metrics counts what the Manager and the server tell, for Prometheus. What they have at
// the moment is asked for when somebody looks.
type metrics struct {
	registry *prometheus.Registry

	steps                *prometheus.HistogramVec
	stepFailures         *prometheus.CounterVec
	canaries             *prometheus.CounterVec
	waited, started      *prometheus.HistogramVec
	woke                 prometheus.Histogram
	parsed               *prometheus.HistogramVec
	measured             *prometheus.CounterVec
	flipped, settled     prometheus.Histogram
	disagreements        prometheus.Counter
	disagreeing          prometheus.Counter
	answered             *prometheus.CounterVec
	answerTimes          *prometheus.HistogramVec
	sockets              prometheus.Gauge
	readApply, readDraft prometheus.Observer
	verdicts             map[probe.Verdict]prometheus.Counter
}

// The buckets, in seconds, about the goals: from the pool a second, a change seen within
// 200 ms, an answer within a tenth of a second.
var (
	bootBuckets   = []float64{0.25, 0.5, 1, 2, 3, 5, 8, 12, 16, 24, 32, 48, 64, 96, 180, 300}
	waitBuckets   = []float64{0.1, 0.5, 1, 5, 15, 30, 60, 120, 300, 600, 1200, 3600}
	wakeBuckets   = []float64{0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 15, 30, 60}
	changeBuckets = []float64{0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2, 2, 5, 10}
	parseBuckets  = []float64{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5}
	answerBuckets = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30}
)

func newMetrics() *metrics {
	histogram := func(name, help string, buckets []float64) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Namespace: "netpol_lab", Name: name, Help: help, Buckets: buckets}
	}
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "netpol_lab", Name: name, Help: help}
	}
	m := &metrics{
		registry:      prometheus.NewRegistry(),
		steps:         prometheus.NewHistogramVec(histogram("step_seconds", "How long the steps of booting a cluster and of laying a lab in it took.", bootBuckets), []string{"step"}),
		stepFailures:  prometheus.NewCounterVec(counter("step_failures_total", "Steps that failed."), []string{"step"}),
		canaries:      prometheus.NewCounterVec(counter("canaries_total", "Canaries, by whether the cluster was seen to enforce policies."), []string{"result"}),
		waited:        prometheus.NewHistogramVec(histogram("queue_wait_seconds", "How long learners waited for a cluster, by where it came from: the reserve, or a boot.", waitBuckets), []string{"from"}),
		started:       prometheus.NewHistogramVec(histogram("start_seconds", "How long it took from Start to Ready, by where the cluster came from: the reserve, a boot, or the learner's own.", bootBuckets), []string{"from"}),
		woke:          prometheus.NewHistogram(histogram("wake_seconds", "How long paused sandboxes took to wake.", wakeBuckets)),
		parsed:        prometheus.NewHistogramVec(histogram("parse_seconds", "How long it took to read policies: those applied, and files of drafts that were not read before.", parseBuckets), []string{"of"}),
		measured:      prometheus.NewCounterVec(counter("verdicts_total", "Measured flows, by verdict."), []string{"verdict"}),
		flipped:       prometheus.NewHistogram(histogram("apply_to_flip_seconds", "How long it took from a change's request to the first flow with another verdict.", changeBuckets)),
		settled:       prometheus.NewHistogram(histogram("apply_to_settled_seconds", "How long it took from a change's request until every flow had settled.", changeBuckets)),
		disagreements: prometheus.NewCounter(counter("disagreements_total", "How often flows have settled at other verdicts than predicted.")),
		disagreeing:   prometheus.NewCounter(counter("disagreeing_flows_total", "Flows that have settled at other verdicts than predicted.")),
		answered:      prometheus.NewCounterVec(counter("http_requests_total", "Requests, by route, method and status."), []string{"route", "method", "status"}),
		answerTimes:   prometheus.NewHistogramVec(histogram("http_request_seconds", "How long requests took, but for websockets.", answerBuckets), []string{"route"}),
		sockets:       prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "netpol_lab", Name: "websockets", Help: "Open websockets."}),
		verdicts:      map[probe.Verdict]prometheus.Counter{},
	}
	m.registry.MustRegister(m.steps, m.stepFailures, m.canaries, m.waited, m.started, m.woke, m.parsed, m.measured, m.flipped, m.settled,
		m.disagreements, m.disagreeing, m.answered, m.answerTimes, m.sockets,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	// What has not happened yet is 0, not absent: an alert can be written about it.
	for _, v := range []probe.Verdict{probe.Open, probe.Refused, probe.Blocked, probe.DNSFailed, probe.Unknown} {
		m.verdicts[v] = m.measured.WithLabelValues(string(v))
	}
	for _, result := range []string{"passed", "failed"} {
		m.canaries.WithLabelValues(result)
	}
	for _, from := range []sandbox.Source{sandbox.FromBoot, sandbox.FromReserve} {
		m.waited.WithLabelValues(string(from))
	}
	for _, from := range []sandbox.Source{sandbox.FromBoot, sandbox.FromReserve, sandbox.FromOwn} {
		m.started.WithLabelValues(string(from))
	}
	m.readApply, m.readDraft = m.parsed.WithLabelValues("apply"), m.parsed.WithLabelValues("draft")
	return m
}

// handler answers with all of it.
func (m *metrics) handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelError), MaxRequestsInFlight: 4, Timeout: 10 * time.Second, DisableCompression: true,
	})
}

// Stepped counts a step.
func (m *metrics) Stepped(step string, took time.Duration, failed bool) {
	m.steps.WithLabelValues(step).Observe(took.Seconds())
	failures := m.stepFailures.WithLabelValues(step)
	if failed {
		failures.Inc()
	}
}

// Proved counts a canary.
func (m *metrics) Proved(enforced bool) {
	result := "failed"
	if enforced {
		result = "passed"
	}
	m.canaries.WithLabelValues(result).Inc()
}

// Waited counts who was given a cluster.
func (m *metrics) Waited(waited time.Duration, of sandbox.Source) {
	m.waited.WithLabelValues(string(of)).Observe(waited.Seconds())
}

// Started counts a sandbox that is ready.
func (m *metrics) Started(took time.Duration, of sandbox.Source) {
	m.started.WithLabelValues(string(of)).Observe(took.Seconds())
}

// Woke counts one that slept.
func (m *metrics) Woke(took time.Duration) { m.woke.Observe(took.Seconds()) }

// Parsed counts policies that are to be applied.
func (m *metrics) Parsed(took time.Duration) { m.readApply.Observe(took.Seconds()) }

// Read counts a file of a draft.
func (m *metrics) Read(took time.Duration) { m.readDraft.Observe(took.Seconds()) }

// Measured counts flows.
func (m *metrics) Measured(v probe.Verdict, flows int) {
	if c := m.verdicts[v]; c != nil {
		c.Add(float64(flows))
	}
}

// Settled counts a change.
func (m *metrics) Settled(flip, all time.Duration) {
	if flip > 0 {
		m.flipped.Observe(flip.Seconds())
	}
	m.settled.Observe(all.Seconds())
}

// Disagreed counts a disagreement.
func (m *metrics) Disagreed(flows int) {
	m.disagreements.Inc()
	m.disagreeing.Add(float64(flows))
}

// Answered counts a request.
func (m *metrics) Answered(route, method string, status int, took time.Duration) {
	m.answered.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	if status != http.StatusSwitchingProtocols {
		m.answerTimes.WithLabelValues(route).Observe(took.Seconds())
	}
}

// Sockets is how many websockets are open.
func (m *metrics) Sockets(open int) { m.sockets.Set(float64(open)) }

// overseen is what there is at the moment. [sandbox.Manager] is that.
type overseen interface {
	Overview() sandbox.Overview
	Available() error
}

// oversee has what there is told with the rest.
func (m *metrics) oversee(of overseen) { m.registry.MustRegister(&overview{of: of}) }

// overview tells what there is, as it is when somebody looks.
type overview struct{ of overseen }

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("netpol_lab_"+name, help, labels, nil)
}

var (
	sandboxesNow   = gauge("sandboxes", "Sandboxes, by state.", "state")
	clustersNow    = gauge("clusters", "Clusters on the machine, by what becomes of them. Each takes a place until nothing is left of it.", "state")
	clustersMax    = gauge("clusters_max", "How many clusters there may be.")
	reserveWanted  = gauge("pool_reserve", "How many clusters should wait in reserve.")
	poolHits       = gauge("pool_hits_total", "Learners who got a cluster of the reserve.")
	poolMisses     = gauge("pool_misses_total", "Learners who had to wait for a cluster to be booted.")
	queueLength    = gauge("queue_length", "Learners who wait for a cluster.")
	queueMax       = gauge("queue_max", "How many learners may wait.")
	watchersNow    = gauge("watchers", "Pages that watch a sandbox.")
	disagreeingNow = gauge("disagreeing_flows", "Flows that are not as predicted now, in all sandboxes.")
	surveyedNow    = gauge("surveyed", "1 once it is known what an earlier run has left on the machine.")
	availableNow   = gauge("available", "1 while sandboxes can be made.")
)

// Describe tells what Collect tells.
func (o *overview) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{sandboxesNow, clustersNow, clustersMax, reserveWanted, poolHits, poolMisses, queueLength, queueMax, watchersNow, disagreeingNow, surveyedNow, availableNow} {
		ch <- d
	}
}

// Collect tells what there is.
func (o *overview) Collect(ch chan<- prometheus.Metric) {
	tell := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v int64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v))
	}
	now := o.of.Overview()
	states := map[sandbox.State]int{}
	watchers, disagreeing := 0, 0
	for _, b := range now.Sandboxes {
		states[b.State]++
		watchers += b.Watchers
		disagreeing += b.Disagreeing
	}
	for _, state := range []sandbox.State{sandbox.Queued, sandbox.Creating, sandbox.Ready, sandbox.Paused, sandbox.Stopping, sandbox.Failed} {
		tell(sandboxesNow, float64(states[state]), string(state))
	}
	tell(clustersNow, float64(now.Clusters.Booting), "booting")
	tell(clustersNow, float64(now.Clusters.Reserved), "reserved")
	tell(clustersNow, float64(now.Clusters.Taken), "taken")
	tell(clustersNow, float64(now.Clusters.Removing), "removing")
	tell(clustersMax, float64(now.MaxSandboxes))
	tell(reserveWanted, float64(now.PoolReserve))
	count(poolHits, now.Hits)
	count(poolMisses, now.Misses)
	tell(queueLength, float64(now.Waiting))
	tell(queueMax, float64(now.MaxWaiting))
	tell(watchersNow, float64(watchers))
	tell(disagreeingNow, float64(disagreeing))
	tell(surveyedNow, oneIf(now.Surveyed))
	tell(availableNow, oneIf(o.of.Available() == nil))
}

func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// serveMetrics serves what is counted on an address of its own, until it is stopped.
func serveMetrics(listen string, handler http.Handler, log *slog.Logger) (stop func(), err error) {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("%w (--metrics-listen chooses another address)", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", handler)
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics are not served any more", "error", err)
		}
	}()
	log.Info("metrics are served without a token", "address", listener.Addr().String())
	return func() {
		server.Close()
		<-served
	}, nil
}
