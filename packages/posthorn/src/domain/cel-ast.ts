/** The part of cel-js's syntax tree that we look at; its type declarations hide what the checker and the macros leave on it. */

export interface CelNode {
  readonly op: string;
  readonly args: unknown;
  readonly start: number;
  readonly end: number;
  readonly meta: {
    /** What a macro was expanded to; evaluated in its place. */
    readonly alternate?: CelNode;
    readonly evaluate: (evaluator: CelEvaluator, node: CelNode, context: unknown) => unknown;
  };
  setMeta(key: string, value: unknown): void;
  /** Set by the type check: applies the operator or function to evaluated operands. */
  handle?: (...operands: never[]) => unknown;
}

export interface CelEvaluator {
  debugType(value: unknown): unknown;
  debugTypeDeep(value: unknown): unknown;
}

/** `args` of a node of op "comprehension", into which the looping macros are expanded. */
export interface Comprehension {
  readonly iterable: CelNode;
  readonly init: CelNode;
  readonly step: CelNode;
  /** Asked before each iteration whether to go on; some macros have none and always go on. */
  condition?: (accumulated: unknown) => boolean;
}

export interface CelCall {
  readonly name: string;
  /** Null for a function, `size(x)`; the value before the dot for a method, `x.size()`. */
  readonly receiver: CelNode | null;
  readonly parameters: readonly CelNode[];
}

/** Null when the node is not a call. */
export function callOf(node: CelNode): CelCall | null {
  if (node.op === "call") {
    const [name, parameters] = node.args as [string, CelNode[]];
    return { name, receiver: null, parameters };
  }
  if (node.op === "rcall") {
    const [name, receiver, parameters] = node.args as [string, CelNode, CelNode[]];
    return { name, receiver, parameters };
  }
  return null;
}

/** The operands of a node as written; of an expanded macro those of the expansion when `expanded`. */
export function operandsOf(node: CelNode, { expanded }: { readonly expanded: boolean }): readonly CelNode[] {
  if (expanded && node.meta.alternate !== undefined) return [node.meta.alternate];
  switch (node.op) {
    case "value":
    case "id":
    case "accuValue":
    case "accuInc":
      return [];
    case ".":
    case ".?":
      return [(node.args as [CelNode, string])[0]];
    case "!_":
    case "-_":
    case "accuPush":
      return [node.args as CelNode];
    case "map":
      return (node.args as [CelNode, CelNode][]).flat();
    case "call":
    case "rcall": {
      const call = callOf(node) as CelCall;
      return call.receiver === null ? call.parameters : [call.receiver, ...call.parameters];
    }
    case "comprehension": {
      const { iterable, init, step } = node.args as Comprehension;
      return [iterable, init, step];
    }
    default:
      return node.args as CelNode[];
  }
}

export function countNodes(node: CelNode): number {
  return operandsOf(node, { expanded: true }).reduce((sum, operand) => sum + countNodes(operand), 1);
}
