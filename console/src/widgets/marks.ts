// Which mark a state has, wherever it is shown.
import type { Alert, Query } from "../api/types";
import type { Mark } from "./basics";

export const SEVERITY_MARKS: Record<Alert["severity"], Mark> = { info: "quiet", warning: "warning", critical: "bad", page: "bad" };
export const QUERY_MARKS: Record<Query["state"], Mark> = { running: "good", paused: "quiet", failed: "bad" };
