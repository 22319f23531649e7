// Keeps the learner's text: each tab its own, over a reload, and the newest of
// all tabs for the next visit.

const prefix = "netpol-lab:draft:";

export function load(lab: string): string | null {
  try {
    return sessionStorage.getItem(prefix + lab) ?? localStorage.getItem(prefix + lab);
  } catch {
    return null; // Storage can be forbidden; the page works without.
  }
}

export function save(lab: string, text: string): void {
  try {
    sessionStorage.setItem(prefix + lab, text);
    localStorage.setItem(prefix + lab, text);
  } catch {
    // Forbidden or full: the text stays in the editor all the same.
  }
}

// What the page has put another text in the place of, in this tab.
const keptPrefix = "netpol-lab:kept:";

export function kept(lab: string): string | null {
  try {
    return sessionStorage.getItem(keptPrefix + lab);
  } catch {
    return null;
  }
}

export function keep(lab: string, text: string | null): void {
  try {
    if (text === null) sessionStorage.removeItem(keptPrefix + lab);
    else sessionStorage.setItem(keptPrefix + lab, text);
  } catch {
    // Then it is not there after a reload.
  }
}
