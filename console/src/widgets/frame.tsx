// What is around every page: names of pages, how the connection is, pause, and how things are shown.
import type { ComponentChildren } from "preact";
import { firing, signed_out, token } from "../api/client";
import { connection } from "../api/stream";
import { address, view_beside } from "../state/address";
import { paused, toggle_pause } from "../state/pause";
import { choose_units, choose_zone, language, theme, units, zone, type Theme } from "../state/preferences";
import { useFiring } from "../state/firing";
import { may_see, sign_out, who } from "../state/session";
import { type Page, PLAIN_PAGES } from "../state/view";
import { duration } from "../words/format";
import { words } from "../words/words";
import { Choice, Link, Menu } from "./basics";
import { KeysDialog, keys_shown, useKeys } from "./keys";
import { newer_windows, useNow } from "./held";
import { ValueMenu } from "./value_menu";

/** Pages that say by themselves what fires. */
const TELL_THEMSELVES: readonly Page[] = ["live", "alerts", "alert"];
/** Pages that a page of the head leads to. */
const PART_OF: Partial<Record<Page, Page>> = { query: "queries", new: "queries", alert: "alerts" };

function Logo() {
  return (
    <svg class="logo" viewBox="0 0 24 24" aria-hidden="true">
      <rect width="24" height="24" rx="6" />
      <path d="M4 15.5q3.5-9 7-4t7-4" />
      <path d="M4 19q3.5-6 7-2.5t9-4" class="logo-second" />
    </svg>
  );
}

function Connection() {
  const w = words.value;
  const state = paused.value ? "paused" : connection.value;
  return (
    <span class={`connection connection-${state}`} role="status" hidden={state === "idle"}>
      <span class="connection-mark" aria-hidden="true" />
      <span class="connection-text">{state === "paused" ? w.newer(newer_windows.value) : w.connection[connection.value]}</span>
    </span>
  );
}

const DAY_MS = 86_400_000;

/** ms until the token of who sits here is worth nothing; null: it has no end. */
function useLifeLeft(): number | null {
  const now = useNow(60_000);
  const until = who.value?.expires_at;
  return until ? Math.max(0, Date.parse(until) - now) : null;
}

function Reader() {
  const w = words.value;
  const left = useLifeLeft();
  if (!who.value) return null;
  const { name, role, row_filter, by } = who.value;
  return (
    <>
      <div class="menu-note">
        <p><b>{name}</b> · {w.roles[role]}{left !== null && <> · {w.expires_in(duration(left, w.locale))}</>}</p>
        {row_filter !== "" && <p>{w.rows_only(row_filter)}</p>}
        {by === "proxy" && <p>{w.sign_out_at_proxy}</p>}
      </div>
      {token() !== null && by !== "proxy" && !signed_out.value && <button type="button" class="menu-item" onClick={sign_out}>{w.sign_out}</button>}
    </>
  );
}

function Expiry() {
  const w = words.value;
  const left = useLifeLeft();
  if (left === null || left >= DAY_MS || signed_out.value) return null;
  return <p class="note-bar" role="status">{w.expires_soon(duration(left, w.locale))}</p>;
}

export function Frame({ children }: { children: ComponentChildren }) {
  const w = words.value;
  const { view, unknown, later } = address.value;
  useKeys();
  useFiring();
  return (
    <>
      <a class="skip" href="#content">{w.skip}</a>
      <header class="head">
        <Link to={view_beside("live")} class="brand"><Logo /><span>BackStream<b>DB</b></span></Link>
        <nav aria-label={w.navigation}>
          {PLAIN_PAGES.filter(may_see).map((page) => <Link key={page} to={view_beside(page)} current={(PART_OF[view.page] ?? view.page) === page}>{page === "alerts" && firing.value ? w.alerts_firing(firing.value) : w.pages[page]}</Link>)}
        </nav>
        <div class="controls" role="group" aria-label={w.controls}>
          <Connection />
          <button type="button" class={`button pause${paused.value ? " button-strong" : ""}`} aria-pressed={paused.value} onClick={toggle_pause}>
            <span class={paused.value ? "icon-play" : "icon-pause"} aria-hidden="true" />{paused.value ? w.resume : w.pause}
          </button>
          <Choice label={w.units} value={units.value} choose={choose_units} options={[{ value: "bits", text: w.bits }, { value: "bytes", text: w.bytes }, { value: "packets", text: w.packets }]} />
          <Choice label={w.time_zone} value={zone.value} choose={choose_zone} options={[{ value: "utc", text: w.utc }, { value: "local", text: w.local }]} />
          <Menu label={<span aria-label={w.controls}>☰</span>} class="menu-right">
            <div class="menu-group">
              <span class="menu-title">{w.theme}</span>
              <Choice<Theme> label={w.theme} value={theme.value} choose={(value) => (theme.value = value)} options={(["auto", "dark", "light"] as const).map((value) => ({ value, text: w.themes[value] }))} />
            </div>
            <div class="menu-group">
              <span class="menu-title">{w.language}</span>
              <Choice label={w.language} value={language.value} choose={(value) => (language.value = value)} options={[{ value: "en", text: "English" }, { value: "pt-BR", text: "Português" }]} />
            </div>
            <button type="button" class="menu-item" onClick={() => (keys_shown.value = true)}>{w.keys} <kbd>?</kbd></button>
            <a class="menu-item" href={document.querySelector<HTMLLinkElement>("link[rel=license]")?.href ?? "/start"}>{w.licences}</a>
            <Reader />
          </Menu>
        </div>
      </header>
      {(later || unknown.length > 0) && <p class="note-bar" role="status">{later ? w.later_link : w.unknown_link(unknown.join(", "))}</p>}
      <Expiry />
      <p class="visually-hidden" role="status">{firing.value && !TELL_THEMSELVES.includes(view.page) ? w.alert_count(firing.value) : ""}</p>
      <main id="content" tabIndex={-1}>{children}<ValueMenu /></main>
      <KeysDialog />
    </>
  );
}
