/** A check of the doctor. */
export interface Finding {
  readonly name: string;
  readonly result: "ok" | "warning" | "failed";
  readonly detail: string;
}

export function ok(name: string, detail: string): Finding {
  return { name, result: "ok", detail };
}
export function warning(name: string, detail: string): Finding {
  return { name, result: "warning", detail };
}
export function failed(name: string, detail: string): Finding {
  return { name, result: "failed", detail };
}
