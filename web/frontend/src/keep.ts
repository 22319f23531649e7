// Keeps the workspace in the browser: each tab its own, over a reload, and the newest of
// all tabs for the next visit. Storage can be forbidden or full; the page works without.

import { empty, type File, type Workspace } from "./workspace/workspace";

const prefix = "netpol-lab:workspace:";

/** The workspace of the lab as this tab had it, or else the newest of any; undefined where there is none. */
export function load(lab: string): Workspace | undefined {
  for (const storage of ["sessionStorage", "localStorage"] as const) {
    try {
      const found = read(window[storage].getItem(prefix + lab));
      if (found) return found;
    } catch {
      // It cannot be read: as if there were none.
    }
  }
  return undefined;
}

/** Keeps the workspace, and tells why that was not possible; undefined where it was. */
export function save(lab: string, workspace: Workspace): string | undefined {
  try {
    for (const storage of [sessionStorage, localStorage]) {
      try {
        storage.setItem(prefix + lab, JSON.stringify(workspace));
      } catch {
        // The files count more than the way back.
        storage.setItem(prefix + lab, JSON.stringify({ ...workspace, past: [], future: [] }));
      }
    }
    return undefined;
  } catch (error) {
    const full = error instanceof DOMException && error.name === "QuotaExceededError";
    return full ? "This browser has no more room for your drafts: they are here until you close or reload the page." : "This browser keeps nothing for the lab: your drafts are here until you close or reload the page.";
  }
}

/** What was kept, as far as it is a workspace. */
function read(text: string | null): Workspace | undefined {
  if (text === null) return undefined;
  const kept = { ...empty, ...(JSON.parse(text) as Partial<Workspace>) };
  const isFile = (f: File): boolean => typeof f.id === "string" && typeof f.text === "string";
  return Array.isArray(kept.files) && kept.files.every(isFile) && Array.isArray(kept.past) && Array.isArray(kept.future) ? kept : undefined;
}
