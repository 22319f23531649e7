// What a flow's ID says. Pure.

import { said } from "./sentences.gen";

/** A flow's two ends, its port, and how the source finds the other. */
export interface FlowParts {
  from: string;
  to: string;
  port: string;
  via: string;
}

/**
 * The parts of a flow's ID: source>destination:port/protocol, with @name behind it where
 * the source goes by DNS name. The cluster's DNS has no name to go by.
 */
export function partsOf(flow: string): FlowParts {
  const m = /^(.+)>(.+):(\d+\/[A-Z]+)(@name)?$/.exec(flow);
  if (!m) return { from: flow, to: "", port: "", via: "" };
  const via = m[4] ? said.byName : m[2] === "kube-system/kube-dns" ? said.question : said.byIP;
  return { from: m[1]!, to: m[2]!, port: m[3]!, via };
}
