import { render } from "preact";
import { signed_out } from "./api/client";
import { LivePage } from "./pages/live";
import { NotFoundPage } from "./pages/not_found";
import { QueriesPage } from "./pages/queries";
import { QueryPage } from "./pages/query";
import { SignInPage } from "./pages/sign_in";
import { address } from "./state/address";
import { Frame } from "./widgets/frame";
import { words } from "./words/words";
import "./styles/console.css";

function Page() {
  const { page, query } = address.value.view;
  if (signed_out.value) return <SignInPage />;
  if (page === "live") return <LivePage />;
  if (page === "queries") return <QueriesPage />;
  if (page === "query" && query !== null) return <QueryPage key={query} name={query} />;
  return <NotFoundPage />;
}

function Console() {
  const { page, query } = address.value.view;
  const name = page === "query" ? query : page === "queries" ? words.value.pages.queries : words.value.pages.live;
  document.title = `${name} · BackStreamDB`;
  return <Frame><Page /></Frame>;
}

render(<Console />, document.getElementById("console")!);
