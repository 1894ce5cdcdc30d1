/** The load side as a process of its own. */
import { answerCalls } from "./child.ts";
import { type Load, type LoadOptions, type LoadRun, startLoad } from "./load.ts";

const loads = new Map<string, Load>();

function named(name: string): Load {
  const load = loads.get(name);
  if (load === undefined) throw new Error(`There is no load ${name}.`);
  return load;
}

const calls = {
  start({ name, options }: { name: string; options: LoadOptions }) {
    loads.set(name, startLoad(options));
  },
  run: ({ name, run }: { name: string; run: LoadRun }) => named(name).run(run),
  close({ name }: { name: string }) {
    named(name).close();
    loads.delete(name);
  },
};
export type LoadCalls = typeof calls;

answerCalls(calls);
