// How the system itself is: a part a tab, of which the first is the backbone of nodes.
import type { FunctionComponent } from "preact";
import { address, view_beside } from "../state/address";
import { may_administer, who, who_problem } from "../state/session";
import { Link, Loading, Trouble } from "../widgets/basics";
import { system_words } from "../words/system";
import { words } from "../words/words";
import { AuditPart } from "./system_audit";
import { DoctorPart } from "./system_doctor";
import { OverviewPart } from "./system_overview";
import { ProgramPart } from "./system_program";
import { SinksPart } from "./system_sinks";
import { TokensPart } from "./system_tokens";

type Tab = "overview" | "sinks" | "doctor" | "audit" | "tokens" | "program";

const PARTS: Record<Tab, { Part: FunctionComponent; admin?: true }> = {
  overview: { Part: OverviewPart },
  sinks: { Part: SinksPart },
  doctor: { Part: DoctorPart },
  program: { Part: ProgramPart },
  audit: { Part: AuditPart, admin: true },
  tokens: { Part: TokensPart, admin: true },
};

export function SystemPage() {
  const w = words.value, s = system_words.value;
  const head = <h1>{w.pages.system}</h1>;
  if (who.value === null) return <>{head}{who_problem.value ? <Trouble problem={who_problem.value} /> : <Loading />}</>;
  const asked = address.value.view.tab ?? "overview";
  const tab: Tab = asked in PARTS ? (asked as Tab) : "overview";
  const { Part, admin } = PARTS[tab];
  const offered = (Object.keys(PARTS) as Tab[]).filter((each) => may_administer.value || !PARTS[each].admin);
  return (
    <>
      <div class="page-head">
        {head}
        <nav class="tabs" aria-label={w.pages.system}>
          {offered.map((each) => <Link key={each} to={{ ...view_beside("system"), tab: each === "overview" ? null : each }} current={each === tab}>{s.tabs[each]}</Link>)}
        </nav>
      </div>
      {admin && !may_administer.value ? <p class="empty">{s.not_yours}</p> : <Part key={tab} />}
    </>
  );
}
