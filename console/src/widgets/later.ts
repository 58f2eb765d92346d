// Parts of the console that are loaded when they are needed.
const RELOADED_KEY = "backstream.reloaded";

/**
 * A chunk that is gone may be of a version that the daemon no longer is: then the page is loaded anew, once for each
 * version, so that two that take turns behind one address make no loop. Where the daemon has the same page, or none as
 * it is away, loading it would lose what is shown: the caller is told.
 */
export async function later<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    const mine = new URL(document.querySelector<HTMLScriptElement>("script[type=module]")!.src).pathname;
    if (sessionStorage.getItem(RELOADED_KEY) === mine || !(await is_other_version(mine))) throw error;
    sessionStorage.setItem(RELOADED_KEY, mine);
    location.reload();
    return new Promise<T>(() => {});
  }
}

async function is_other_version(mine: string): Promise<boolean> {
  try {
    const page = await fetch("/", { cache: "no-store" });
    return page.ok && !(await page.text()).includes(mine);
  } catch {
    return false;
  }
}
