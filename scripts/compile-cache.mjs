// Keeps compiled modules between the test processes, of which each would strip and compile the same few hundred files anew: on
// two cores that was a fifth of the whole test run. Inside the clone, where nobody else writes: never in a shared /tmp.
import module from "node:module";
import { fileURLToPath } from "node:url";

module.enableCompileCache?.(fileURLToPath(new URL("../node_modules/.cache/compiled", import.meta.url)));
