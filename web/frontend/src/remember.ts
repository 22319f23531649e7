// What this browser keeps of how somebody likes the page. Where it may keep nothing, all
// is as usual the next time.

const prefix = "netpol-lab:";

export function remember(name: string, value: string): void {
  try {
    localStorage.setItem(prefix + name, value);
  } catch {
    // Forbidden or full.
  }
}

export function recall(name: string): string | null {
  try {
    return localStorage.getItem(prefix + name);
  } catch {
    return null;
  }
}
