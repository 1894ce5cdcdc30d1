/** /openapi.json, /docs and /docs/errors: the door describes itself. */
import { docsPage, errorsPage, STYLE_HASH } from "./docs-page.ts";
import { describeApi, type OpenApi } from "./openapi.ts";
import { json, type Route, route } from "./route.ts";
import { pageHeaders } from "./security-headers.ts";

/** The pages hold no script and load nothing: one style sheet, inside, known by its hash. */
const PAGE_HEADERS = pageHeaders({ "style-src": `'${STYLE_HASH}'` });

/** @param others every other route of the door */
export function docsRoutes(others: readonly Route[], version: string): Route[] {
  const tag = "Docs";
  const page = (path: string, summary: string, render: () => string): Route => {
    let body: string | undefined;
    return route({
      method: "GET",
      path,
      tag,
      summary,
      access: "open",
      answers: [{ status: 200, description: "A page", contentType: "text/html" }],
      handle() {
        body ??= render();
        return { status: 200, body, contentType: "text/html; charset=utf-8", headers: PAGE_HEADERS };
      },
    });
  };
  const routes: Route[] = [
    route({
      method: "GET",
      path: "/openapi.json",
      tag,
      summary: "This API as OpenAPI 3.1",
      access: "open",
      answers: [{ status: 200, description: "OpenAPI 3.1", contentType: "application/json" }],
      handle: () => json(200, api()),
    }),
    page("/docs", "This API for people", () => docsPage(api())),
    page("/docs/errors", "Every error code", () => errorsPage(version)),
  ];
  const api = (): OpenApi => describeApi([...others, ...routes], version);
  return routes;
}
