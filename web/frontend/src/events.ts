// The event protocol as web/EVENTS.md describes it.

export type State = "none" | "queued" | "creating" | "ready" | "stopping" | "stopped" | "failed";
export type Verdict = "open" | "refused" | "blocked" | "dns-failed" | "unknown";
export type StepStatus = "pending" | "running" | "done" | "failed";

export interface Step {
  index: number;
  total: number;
  name: string;
  status: StepStatus;
  elapsedMillis?: number;
}

export interface AppliedPolicy {
  namespace: string;
  name: string;
  yaml: string;
}

export interface Observation {
  flow: string;
  verdict: Verdict;
  latencyMicros?: number;
  server?: string;
  detail?: string;
}

export interface Snapshot {
  id: string;
  lab: string;
  provider: string;
  state: State;
  reason?: string;
  steps: Step[];
  policies: AppliedPolicy[];
  change: number;
  observations: Observation[];
  notice?: Notice;
}

export interface Settled {
  change: number;
  tookMillis: number;
  firstFlipMillis?: number;
  flows: number;
  flips: number;
}

export interface Notice {
  level: "info" | "warning";
  message: string;
}

type Body =
  | { type: "snapshot"; snapshot: Snapshot }
  | { type: "state"; state: { state: State; reason?: string } }
  | { type: "step"; step: Step }
  | { type: "policies"; policies: { change: number; policies: AppliedPolicy[] } }
  | { type: "observations"; observations: { change: number; flows: Observation[] } }
  | { type: "settled"; settled: Settled }
  | { type: "notice"; notice: Notice };

export type SandboxEvent = { seq: number; time: string } & Body;
