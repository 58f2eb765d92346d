// Parts of the console that are loaded when they are needed.
const RELOADED_KEY = "backstream.reloaded";

/**
 * A chunk that is gone is of a version that the daemon no longer is: the page is loaded anew, once. When that does not
 * help, the caller is told.
 */
export async function later<T>(load: () => Promise<T>): Promise<T> {
  try {
    const loaded = await load();
    sessionStorage.removeItem(RELOADED_KEY);
    return loaded;
  } catch (error) {
    if (sessionStorage.getItem(RELOADED_KEY) !== null) throw error;
    sessionStorage.setItem(RELOADED_KEY, "once");
    location.reload();
    return new Promise<T>(() => {});
  }
}
