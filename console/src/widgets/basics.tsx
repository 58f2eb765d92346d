// Small parts that pages are made of.
import type { ComponentChildren } from "preact";
import { useId, useRef, useState } from "preact/hooks";
import { NOBODY, type Refusal } from "../api/client";
import { go } from "../state/address";
import { address_of, type View } from "../state/view";
import { words } from "../words/words";
import { copy_text } from "./copy_text";

/** A link within the console: a plain one for every other button and key. */
export function Link({ to, class: style, children, current }: { to: View; class?: string; children: ComponentChildren; current?: boolean }) {
  return (
    <a href={address_of(to)} class={style} aria-current={current ? "page" : undefined}
      onClick={(event) => {
        if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
        event.preventDefault();
        go(to);
      }}>
      {children}
    </a>
  );
}

export function Panel({ title, aside, class: style, children }: { title: ComponentChildren; aside?: ComponentChildren; class?: string; children: ComponentChildren }) {
  const id = useId();
  return (
    <section class={`panel ${style ?? ""}`} aria-labelledby={id}>
      <header class="panel-head">
        <h2 id={id}>{title}</h2>
        {aside !== undefined && <div class="panel-aside">{aside}</div>}
      </header>
      {children}
    </section>
  );
}

/** One of few: a group of buttons of which one is pressed. */
export function Choice<T extends string>({ label, options, value, choose }: { label: string; options: readonly { value: T; text: string }[]; value: T | null; choose: (value: T) => void }) {
  return (
    <div class="choice" role="group" aria-label={label}>
      {options.map((option) => (
        <button key={option.value} type="button" aria-pressed={option.value === value} onClick={() => choose(option.value)}>{option.text}</button>
      ))}
    </div>
  );
}

/** Closes by Escape and when the focus leaves it. */
export function Menu({ label, children, class: style }: { label: ComponentChildren; children: ComponentChildren; class?: string }) {
  const details = useRef<HTMLDetailsElement>(null);
  return (
    <details ref={details} class={`menu ${style ?? ""}`}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !details.current?.open) return;
        event.stopPropagation();
        details.current.open = false;
        details.current.querySelector("summary")?.focus();
      }}
      onFocusOut={(event) => {
        if (event.relatedTarget instanceof Node && !details.current?.contains(event.relatedTarget)) details.current!.open = false;
      }}>
      <summary class="button">{label}</summary>
      <div class="menu-items">{children}</div>
    </details>
  );
}

/** @param style  an item of a menu, or a button of its own */
export function CopyItem({ text, children, class: style = "menu-item" }: { text: () => string; children: ComponentChildren; class?: string }) {
  const w = words.value;
  const [done, set_done] = useState<boolean | null>(null);
  const copy = async () => {
    set_done(await copy_text(text()));
    setTimeout(() => set_done(null), 1_500);
  };
  return (
    <button type="button" class={style} onClick={() => void copy()}>
      <span aria-live="polite">{done === null ? children : done ? `✓ ${w.copied}` : w.not_copied}</span>
    </button>
  );
}

export function Trouble({ problem, again }: { problem: Refusal; again?: () => void }) {
  const w = words.value;
  const nobody = problem.status === NOBODY || problem.status === 502;
  return (
    <div class="trouble" role="alert">
      <strong>{nobody ? w.no_answer : problem.message}</strong>
      {nobody ? <p>{w.no_answer_hint}</p> : problem.problem.hint && <p>{problem.problem.hint}</p>}
      {again && <button type="button" class="button" onClick={again}>{w.retry}</button>}
    </div>
  );
}

export function Loading() {
  return <div class="loading" role="status"><span class="visually-hidden">{words.value.loading}</span></div>;
}

export type Mark = "good" | "warning" | "bad" | "quiet";

/** A state in words, with a shape and a colour beside them. */
export function Badge({ mark, children }: { mark: Mark; children: ComponentChildren }) {
  return <span class={`badge badge-${mark}`}><span class="badge-mark" aria-hidden="true" />{children}</span>;
}

/** How much of the largest, behind a number. */
export function Bar({ share }: { share: number }) {
  return (
    <svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
      <rect class="bar-back" width="100" height="4" rx="1" />
      <rect class="bar-front" width={Math.max(0, Math.min(100, share * 100))} height="4" rx="1" />
    </svg>
  );
}
