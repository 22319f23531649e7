// What the editor asks the server for once: what can stand in a policy, and what is in
// the lab. Without an answer it offers less, and that is all.

import type { LabContents, Schema } from "../answers.gen";
import * as api from "../api";

export class Facts {
  schema: Schema | undefined;
  lab: LabContents | undefined;
  #asked = 0;

  constructor(private readonly name: string) {
    this.renew();
  }

  /**
   * Asks for the lab anew: with another sandbox, pods have other addresses. The schema is
   * asked for until it is there.
   */
  renew(): void {
    if (!this.schema) void had(api.schema()).then((schema) => (this.schema ??= schema));
    const asked = ++this.#asked;
    void had(api.contents(this.name)).then((lab) => {
      if (lab && asked === this.#asked) this.lab = lab;
    });
  }
}

async function had<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (!(error instanceof api.Refusal)) throw error;
    return undefined;
  }
}
