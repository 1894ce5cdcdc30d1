// Keeps compiled modules between processes: each test file, and each server or command that a test starts, would strip and
// compile the same few hundred files anew. Inside the clone, where nobody else writes: never in a shared /tmp.
import module from "node:module";
import { fileURLToPath } from "node:url";

const directory = fileURLToPath(new URL("../node_modules/.cache/compiled", import.meta.url));
module.enableCompileCache?.(directory);
// For the processes that this one starts.
process.env.NODE_COMPILE_CACHE ??= directory;
