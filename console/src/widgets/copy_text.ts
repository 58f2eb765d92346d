// Into the clipboard, also where a page of plain HTTP is given none (navigator.clipboard is for secure contexts only).

/** False: the browser let neither way. */
export async function copy_text(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // There is none, or it may not be used.
    return copy_selected(text);
  }
}

/** What is selected in a field that nobody sees; the focus is back before anybody notices. */
function copy_selected(text: string): boolean {
  const focused = document.activeElement;
  const field = document.createElement("textarea");
  field.value = text;
  field.readOnly = true;
  field.className = "visually-hidden";
  // Within what would close, or take the focus back, when it went elsewhere.
  (focused?.closest("details, dialog") ?? document.body).append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  if (focused instanceof HTMLElement || focused instanceof SVGElement) focused.focus({ preventScroll: true });
  return done;
}
