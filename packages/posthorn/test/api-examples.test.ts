// The curl examples of docs/http-api.md, sent one after another to a real server.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ADMIN_KEY, startTestServer, type TestServer } from "./api-server-fixture.ts";
import { snippetsOf } from "./snippets.ts";

interface Example {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: string | undefined;
}

/** Each curl of the page, a line each once joined. */
const commands = snippetsOf("docs/http-api.md")
  .flatMap(({ text }) => text.replaceAll("\\\n", " ").split("\n"))
  .filter((line) => line.startsWith("curl "));

function read(command: string, variables: Readonly<Record<string, string>>): Example {
  const filled = command.replaceAll(
    /\$([A-Z]+)/g,
    (_, name: string) => variables[name] ?? assert.fail(`no $${name}`),
  );
  const words = [...filled.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c ?? "");
  const after = (flag: string) => words.flatMap((word, index) => (words[index - 1] === flag ? [word] : []));
  const [body] = after("-d");
  const address = words.find((word) => word.startsWith("http")) ?? assert.fail(command);
  return {
    method: after("-X")[0] ?? (body === undefined ? "GET" : "POST"),
    path: address.slice((variables.URL ?? "").length),
    headers: Object.fromEntries(after("-H").map((header) => header.split(/: /, 2) as [string, string])),
    body,
  };
}

describe("docs/http-api.md", () => {
  let server: TestServer;
  before(async () => {
    // Nothing is sent: the examples name an endpoint that is somebody's.
    server = await startTestServer({ roles: ["api"] });
  });
  after(() => server.end());

  test("every example works as printed", async () => {
    const variables: Record<string, string> = { URL: server.url, KEY: ADMIN_KEY };
    const send = async (command: string) => {
      const { method, path, headers, body } = read(command, variables);
      const answered = await server.call(method, path, body, headers);
      assert.ok(answered.status < 300, `${command}\n${answered.text}`);
      return answered.json;
    };
    // The page begins with publishing, which needs an app and an endpoint.
    const setUp = commands.filter((command) => /"uid": "(shop|main)"/.test(command));
    assert.equal(setUp.length, 2);
    for (const command of setUp) await send(command);
    for (const command of commands.filter((each) => !setUp.includes(each))) {
      const json = await send(command);
      if (/^curl -sS "\$URL\/v1\/events\?/.test(command)) variables.EVENT = json.data[0].id;
      if (/^curl -sS "\$URL\/v1\/deliveries\?/.test(command)) {
        const all = await server.call("GET", "/v1/deliveries");
        variables.DELIVERY = all.json.data[0].id;
      }
      if (command.includes("/replay ") && json.id !== undefined) variables.REPLAY = json.id;
    }
    assert.ok(commands.length > 25);
  });
});
