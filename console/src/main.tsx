import { type FunctionComponent, render } from "preact";
import { firing, signed_out } from "./api/client";
import { LivePage } from "./pages/live";
import { NotFoundPage } from "./pages/not_found";
import { RowsOnlyPage } from "./pages/rows_only";
import { SignInPage } from "./pages/sign_in";
import { address } from "./state/address";
import { may_see, reader, who } from "./state/session";
import { Frame } from "./widgets/frame";
import { Later } from "./widgets/later_page";
import { words } from "./words/words";
import "./styles/console.css";

// What is not needed for a first look is loaded when somebody goes there.
const LATER = {
  queries: () => import("./pages/queries").then(({ QueriesPage }) => QueriesPage),
  query: () => import("./pages/query").then(({ QueryPage }) => QueryPage),
  new: () => import("./pages/new").then(({ NewPage }) => NewPage),
  explore: () => import("./pages/explore").then(({ ExplorePage }) => ExplorePage),
  matrix: () => import("./pages/matrix").then(({ MatrixPage }) => MatrixPage),
  exporters: () => import("./pages/exporters").then(({ ExportersPage }) => ExportersPage),
  alerts: () => import("./pages/alerts").then(({ AlertsPage }) => AlertsPage),
  alert: () => import("./pages/alerts").then(({ AlertPage }) => AlertPage),
  system: () => import("./pages/system").then(({ SystemPage }) => SystemPage),
} satisfies Record<string, () => Promise<FunctionComponent>>;

function Page() {
  const { page } = address.value.view;
  if (!may_see(page)) return <RowsOnlyPage />;
  if (page === "live") return <LivePage />;
  if (page in LATER) return <Later key={page} load={LATER[page as keyof typeof LATER]} />;
  return <NotFoundPage />;
}

function Console() {
  const { page, query } = address.value.view;
  const name = page === "query" ? query : page === "unknown" ? words.value.not_found : words.value.pages[page];
  document.title = `${firing.value ? `(${firing.value}) ` : ""}${name} · BackStreamDB`;
  // What somebody has begun to write outlives an expired token: his page waits, and asks nothing.
  const waits = signed_out.value && who.value !== null;
  return (
    <Frame>
      {signed_out.value && <SignInPage />}
      {(!signed_out.value || waits) && <div key={reader.value} hidden={waits}><Page /></div>}
    </Frame>
  );
}

render(<Console />, document.getElementById("console")!);
