// Pause stops pictures, never what they are drawn from: feeds go on and keep what their bounds allow, so nothing is
// lost on the way back, and the button can say how much is waiting.
import { signal } from "@preact/signals";

export const paused = signal(false);

export function toggle_pause(): void {
  paused.value = !paused.value;
}
