// OCapN for browsers, in one file that depends on nothing: Syrup, the websocket netlayer's proof of who answers,
// and a CapTP client.
//
//     import { Session, far } from "./ocapn.js";
//     const { session, object } = await Session.enliven("ocapn://….websocket/s/…?url=wss%3A%2F%2F…");
//     await object.call("greet", "Bob");                         // a message, and its answer
//     object.call("makeCar", "red").call("drive");               // pipelined: sent before the car is there
//     object.tell("subscribe", far({ changed(what) { … } }));    // a callback that the other side may keep
//     session.closed.then((reason) => …);
//
// Not here: introductions to third parties (a reference that leads to another peer arrives as an `Unknown`).

// --- Syrup ------------------------------------------------------------------------------------------------------

export class Symbol_ {
  constructor(name) { this.name = name; }
  toString() { return this.name; }
}
export class Record {
  constructor(label, ...fields) { this.label = label; this.fields = fields; }
}
export class Tagged {
  constructor(tag, value) { this.tag = tag; this.value = value; }
}
export class Unknown extends Record {}

export const sym = (name) => new Symbol_(name);
const rec = (label, ...fields) => new Record(sym(label), ...fields);

const utf8 = new TextEncoder();
const strictText = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const ascii = (text) => Uint8Array.from(text, (character) => character.charCodeAt(0));

function join(parts) {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) { whole.set(part, at); at += part.length; }
  return whole;
}

function compare(one, other) {
  const shorter = Math.min(one.length, other.length);
  for (let i = 0; i < shorter; i++) if (one[i] !== other[i]) return one[i] - other[i];
  return one.length - other.length;
}

const prefixed = (bytes, mark) => join([ascii(`${bytes.length}${mark}`), bytes]);

function encodeNumber(value) {
  if (typeof value === "bigint" || (Number.isSafeInteger(value) && !Object.is(value, -0))) {
    return ascii(value < 0 ? `${-value}-` : `${value}+`);
  }
  const bytes = new Uint8Array(9);
  bytes[0] = 0x44; // D
  new DataView(bytes.buffer).setFloat64(1, value);
  return bytes;
}

const isStruct = (value) =>
  typeof value === "object" && value !== null && [null, Object.prototype].includes(Object.getPrototypeOf(value));

// `special` turns what Syrup has no notation for (references) into something that it has.
export function encode(value, special = (thing) => { throw new TypeError(`a ${typeof thing} cannot be passed`); }) {
  const inner = (each) => encode(each, special);
  const sorted = (encoded) => encoded.sort(compare);
  switch (typeof value) {
    case "boolean": return ascii(value ? "t" : "f");
    case "number": case "bigint": return encodeNumber(value);
    case "string": return prefixed(utf8.encode(value), '"');
    case "undefined": return inner(rec("void"));
    case "function": return inner(special(value));
  }
  if (value === null) return inner(rec("null"));
  if (value instanceof Uint8Array) return prefixed(value, ":");
  if (value instanceof Symbol_) return prefixed(utf8.encode(value.name), "'");
  if (value instanceof Record) return join([ascii("<"), inner(value.label), ...value.fields.map(inner), ascii(">")]);
  if (value instanceof Tagged) return inner(rec("user-record", sym(value.tag), value.value));
  if (Array.isArray(value)) return join([ascii("["), ...value.map(inner), ascii("]")]);
  if (value instanceof Set) return join([ascii("#"), ...sorted([...value].map(inner)), ascii("$")]);
  if (value instanceof Map || isStruct(value)) {
    const entries = value instanceof Map ? [...value] : Object.entries(value);
    const pairs = entries.map(([key, item]) => [inner(key), inner(item)]).sort(([a], [b]) => compare(a, b));
    return join([ascii("{"), ...pairs.flat(), ascii("}")]);
  }
  return inner(special(value));
}

const CLOSERS = { "[": "]", "<": ">", "{": "}", "#": "$" };
const DEPTH = 128;

class Reader {
  constructor(bytes, special) { this.bytes = bytes; this.at = 0; this.special = special; this.depth = 0; }

  fail(what) { throw new SyntaxError(`Syrup: ${what} at ${this.at}`); }

  mark() {
    if (this.at >= this.bytes.length) this.fail("it ends within a value");
    return String.fromCharCode(this.bytes[this.at++]);
  }

  take(size) {
    if (this.at + size > this.bytes.length) this.fail("it ends within a value");
    this.at += size;
    return this.bytes.subarray(this.at - size, this.at);
  }

  value() {
    const mark = this.mark();
    if (mark === "t") return true;
    if (mark === "f") return false;
    if (mark === "D") return new DataView(this.take(8).slice().buffer).getFloat64(0);
    if (mark in CLOSERS) return this.container(mark);
    if (mark >= "0" && mark <= "9") return this.counted(mark);
    return this.fail(`an unknown mark ${JSON.stringify(mark)}`);
  }

  counted(digits) {
    let mark;
    while ((mark = this.mark()) >= "0" && mark <= "9") {
      digits += mark;
      if (digits.length > 4096) this.fail("a number of too many digits");
    }
    if (mark === "+" || mark === "-") return integer(mark === "-" ? `-${digits}` : digits);
    const bytes = this.take(Number(digits));
    if (mark === ":") return bytes.slice();
    if (mark === '"') return strictText.decode(bytes);
    if (mark === "'") return sym(strictText.decode(bytes));
    return this.fail("a length of nothing");
  }

  container(mark) {
    if (++this.depth > DEPTH) this.fail("it is nested too deep");
    const items = [];
    while (this.bytes[this.at] !== CLOSERS[mark].charCodeAt(0)) items.push(this.value());
    this.at++;
    this.depth--;
    if (mark === "[") return items;
    if (mark === "#") return new Set(items);
    if (mark === "<") return this.special(items[0], items.slice(1));
    if (items.length % 2) this.fail("a key without a value");
    return struct(items);
  }
}

function integer(text) {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : BigInt(text);
}

// Text as keys: a plain object (without a prototype, so that no key means anything); else a Map.
function struct(items) {
  const pairs = Array.from({ length: items.length / 2 }, (_, i) => [items[2 * i], items[2 * i + 1]]);
  if (!pairs.every(([key]) => typeof key === "string")) return new Map(pairs);
  const made = Object.create(null);
  for (const [key, item] of pairs) made[key] = item;
  return made;
}

function plainRecord(label, fields) {
  const name = label instanceof Symbol_ ? label.name : "";
  if (name === "void" || name === "undefined") return undefined;
  if (name === "null") return null;
  if (name === "vec") return fields;
  if ((name === "user-record" || name === "desc:tagged") && fields.length === 2) {
    return new Tagged(String(fields[0]), fields[1]);
  }
  return new Record(label, ...fields);
}

export function decode(bytes, special = plainRecord) {
  const reader = new Reader(bytes, special);
  const value = reader.value();
  if (reader.at !== bytes.length) reader.fail("something follows the value");
  return value;
}

// --- keys, URIs, the proof of who answers -------------------------------------------------------------------------

const BASE32 = "abcdefghijklmnopqrstuvwxyz234567";

function base32Decode(text) {
  let bits = 0n;
  for (const character of text) {
    const index = BASE32.indexOf(character);
    if (index < 0) throw new SyntaxError("the designator is no base32");
    bits = (bits << 5n) | BigInt(index);
  }
  const size = Math.floor((text.length * 5) / 8);
  bits >>= BigInt(text.length * 5 - size * 8);
  const bytes = new Uint8Array(size);
  for (let i = size - 1; i >= 0; i--) { bytes[i] = Number(bits & 255n); bits >>= 8n; }
  return bytes;
}

function base64Decode(text) {
  return ascii(atob(text.replaceAll("-", "+").replaceAll("_", "/")));
}

export function parseUri(uri) {
  const found = /^ocapn:\/\/([a-z2-7]{52})\.websocket\/s\/([A-Za-z0-9_-]+)\?(.*)$/.exec(uri.trim());
  const url = found && new URLSearchParams(found[3]).get("url");
  if (!url) throw new SyntaxError("this is no URI of an object that is reached by websocket");
  return { designator: found[1], swissNum: base64Decode(found[2]), url };
}

const ED25519 = { name: "Ed25519" };

async function verify(publicKey, signature, data) {
  const key = await crypto.subtle.importKey("raw", publicKey, ED25519, false, ["verify"]);
  return crypto.subtle.verify(ED25519, key, signature, data);
}

const writtenKey = (raw) =>
  [sym("public-key"), [sym("ecc"), [sym("curve"), sym("Ed25519")], [sym("flags"), sym("eddsa")], [sym("q"), raw]]];
const writtenSignature = (raw) =>
  [sym("sig-val"), [sym("eddsa"), [sym("r"), raw.slice(0, 32)], [sym("s"), raw.slice(32)]]];

function readKey(written) {
  const raw = written?.[1]?.[3]?.[1];
  if (!(raw instanceof Uint8Array) || compare(encode(written), encode(writtenKey(raw)))) {
    throw new Error("the peer's key is malformed");
  }
  return raw;
}

function readSignature(written) {
  const [r, s] = [written?.[1]?.[1]?.[1], written?.[1]?.[2]?.[1]];
  if (!(r instanceof Uint8Array && s instanceof Uint8Array && r.length === 32 && s.length === 32)) {
    throw new Error("a signature is malformed");
  }
  return join([r, s]);
}

// A websocket whose messages can be waited for, one after the other, until it is given a handler.
class Wire {
  static async open(url) {
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onclose = socket.onerror = () => reject(new Error("nobody answers"));
    });
    return new Wire(socket);
  }

  constructor(socket) {
    this.socket = socket;
    this.early = [];
    this.waiting = null;
    this.gone = null;
    socket.onmessage = (event) => this.arrived(new Uint8Array(event.data));
    socket.onclose = (event) => this.ended(event.reason || "the connection was lost");
    socket.onerror = null;
  }

  arrived(bytes) {
    if (this.handler) this.handler(bytes);
    else if (this.waiting) this.waiting.resolve(bytes);
    else this.early.push(bytes);
  }

  ended(reason) {
    this.gone = reason;
    this.waiting?.reject(new Error(reason));
    this.onended?.(reason);
  }

  next() {
    if (this.early.length) return Promise.resolve(this.early.shift());
    if (this.gone) return Promise.reject(new Error(this.gone));
    return new Promise((resolve, reject) => { this.waiting = { resolve, reject }; })
      .finally(() => { this.waiting = null; });
  }

  handle(handler, onended) {
    this.onended = onended;
    this.handler = handler;
    for (const bytes of this.early.splice(0)) handler(bytes);
    if (this.gone) onended(this.gone);
  }

  send(bytes) { if (this.socket.readyState === WebSocket.OPEN) this.socket.send(bytes); }
  close() { this.socket.close(1000); }
}

// The acceptor signs what we made up; only whoever has the designator's key can.
async function checkIdentity(wire, designator) {
  const message = encode(rec("init:peer-auth", crypto.getRandomValues(new Uint8Array(32))));
  wire.send(message);
  const envelope = decode(await wire.next());
  if (!(envelope instanceof Record) || String(envelope.label) !== "desc:sig-envelope") {
    throw new Error("it did not prove who it is");
  }
  if (!await verify(base32Decode(designator), readSignature(envelope.fields[1]), message)) {
    throw new Error("somebody else answers there");
  }
}

// A page cannot be dialled: nobody needs to know it by a name.
const OUR_LOCATION = rec("ocapn-peer", sym("websocket"), "unreachable", false);

async function greet(wire, designator) {
  const keys = await crypto.subtle.generateKey(ED25519, false, ["sign", "verify"]);
  const raw = new Uint8Array(await crypto.subtle.exportKey("raw", keys.publicKey));
  const signed = encode(rec("my-location", OUR_LOCATION));
  const signature = new Uint8Array(await crypto.subtle.sign(ED25519, keys.privateKey, signed));
  wire.send(encode(rec("op:start-session", "1.0", writtenKey(raw), OUR_LOCATION, writtenSignature(signature))));
  const answer = decode(await wire.next());
  const label = String(answer?.label);
  if (label === "op:abort") throw new Error(String(answer.fields[0]));
  const [version, key, location, theirs] = answer?.fields ?? [];
  if (label !== "op:start-session" || version !== "1.0") throw new Error("it speaks another version of CapTP");
  if (location?.fields?.[1] !== designator) throw new Error("it says that it is somebody else");
  if (!await verify(readKey(key), readSignature(theirs), encode(rec("my-location", location)))) {
    throw new Error("its location is not signed");
  }
}

// --- CapTP ------------------------------------------------------------------------------------------------------

class Far {
  #methods;
  constructor(methods) {
    const own = Object.entries(methods).filter(([, method]) => typeof method === "function");
    this.#methods = new Map(own.map(([name, method]) => [name, method.bind(methods)]));
  }
  method(name) { return this.#methods.get(name); }
}

// Makes an object whose methods the other side may call, and nothing else of it.
export const far = (methods) => new Far(methods);

// What the other side calls `deposit-gift` is our method `depositGift`.
const camel = (name) => name.replace(/[-_]([a-z])/g, (_, letter) => letter.toUpperCase());
const kebab = (name) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

async function invoke(target, args) {
  const here = await target;
  if (here instanceof Remote || here instanceof Answer) return here.send(args);
  if (typeof here === "function") return here(...args);
  const named = here instanceof Far && args[0] instanceof Symbol_;
  const method = named ? here.method(camel(args[0].name)) : undefined;
  if (!method) throw new Error("there is no such method");
  return method(...args.slice(1));
}

// Anything that messages can be sent to: an object over there, or the answer that it is going to be.
class Target {
  #session;
  constructor(session) { this.#session = session; }
  get session() { return this.#session; }

  // Sends a message and returns its `Answer`: await it, or send it messages at once.
  call(method, ...args) { return this.send([sym(kebab(method)), ...args]); }
  // Sends a message that nobody needs an answer to.
  tell(method, ...args) { this.#session.deliver(this, [sym(kebab(method)), ...args]); }
  // Sends just these arguments, without a method's name.
  send(args) { return this.#session.ask(this, args); }
}

export class Remote extends Target {}

export class Answer extends Target {
  #promise;
  constructor(session, promise) {
    super(session);
    this.#promise = promise;
    promise.catch(() => {}); // whoever awaits it hears of it
  }
  then(...handlers) { return this.#promise.then(...handlers); }
  catch(handler) { return this.#promise.catch(handler); }
  finally(handler) { return this.#promise.finally(handler); }
}

class Resolver {
  constructor(resolve, reject) { this.fulfill = resolve; this.break = reject; }
}

export class Session {
  // Connects to the peer in a URI and gets the object that it names: { session, object }.
  static async enliven(uri) {
    const { designator, swissNum, url } = parseUri(uri);
    const wire = await Wire.open(url);
    try {
      await checkIdentity(wire, designator);
      await greet(wire, designator);
    } catch (error) {
      wire.close();
      throw error;
    }
    const session = new Session(wire);
    return { session, object: await session.bootstrap.call("fetch", swissNum) };
  }

  #wire;
  #exports = new Map();    // position -> { thing, count }: what they hold of ours
  #positions = new Map();  // thing -> position
  #imports = new Map();    // position -> { weak, count }: what we hold of theirs
  #answers = new Map();    // position -> promise: what they asked, and may send messages to already
  #known = new WeakMap();  // Remote or Answer -> its descriptor
  #unsettled = new Set();  // resolvers of ours that wait for them
  #nextExport = 1;         // 0 is the bootstrap object
  #nextAnswer = 0;
  #dropped;
  #end;

  constructor(wire) {
    this.#wire = wire;
    this.closed = new Promise((resolve) => { this.#end = resolve; });
    this.#dropped = new FinalizationRegistry((dropped) => this.#collected(dropped));
    this.#export(far({}), 0);
    this.bootstrap = this.#import(0);
    wire.handle((bytes) => this.#receive(bytes), (reason) => this.#sever(reason));
  }

  close(reason = "the page is closing the connection") {
    this.#wire.send(encode(rec("op:abort", reason)));
    this.#sever(reason);
  }

  #sever(reason) {
    if (!this.#end) return;
    this.#end(reason);
    this.#end = null;
    this.#wire.close();
    for (const resolver of this.#unsettled) resolver.break(new Error(reason));
    this.#unsettled.clear();
  }

  // --- out ---

  ask(target, args) {
    if (!this.#end) return new Answer(this, Promise.reject(new Error("the connection was lost")));
    const { promise, descriptor } = this.#newResolver();
    const position = this.#nextAnswer++;
    this.deliver(target, args, position, descriptor);
    const answer = new Answer(this, promise);
    this.#known.set(answer, rec("desc:answer", position));
    this.#dropped.register(answer, { answer: position });
    return answer;
  }

  deliver(target, args, answer = false, resolver = false) {
    this.#send(rec("op:deliver", this.#known.get(target), args, answer, resolver));
  }

  #send(operation) { this.#wire.send(encode(operation, (thing) => this.#describe(thing))); }

  #newResolver() {
    let resolver;
    const promise = new Promise((resolve, reject) => { resolver = new Resolver(resolve, reject); });
    this.#unsettled.add(resolver);
    return { promise, descriptor: rec("desc:import-object", this.#export(resolver)) };
  }

  #describe(thing) {
    if (thing instanceof Target) {
      const descriptor = this.#known.get(thing);
      if (descriptor) return descriptor;
      throw new TypeError("a reference of another session cannot be passed");
    }
    if (thing instanceof Promise) return rec("desc:import-promise", this.#export(thing));
    if (typeof thing === "function" || thing instanceof Far) return rec("desc:import-object", this.#export(thing));
    throw new TypeError("only values, promises, functions and far(…) objects can be passed");
  }

  #export(thing, position = this.#positions.get(thing) ?? this.#nextExport++) {
    const entry = this.#exports.get(position) ?? { thing, count: 0 };
    entry.count++;
    this.#exports.set(position, entry);
    this.#positions.set(thing, position);
    return position;
  }

  // --- in ---

  #receive(bytes) {
    if (!this.#end) return;
    try {
      const operation = decode(bytes, (label, fields) => this.#record(label, fields));
      const handler = Object.hasOwn(HANDLERS, String(operation?.label)) && HANDLERS[String(operation.label)];
      if (!handler) throw new Error("an unknown operation");
      handler(this, ...operation.fields);
    } catch (error) {
      this.close(`malformed message: ${error.message}`);
    }
  }

  #record(label, fields) {
    const position = fields[0];
    switch (String(label)) {
      case "desc:import-object": return this.#import(position);
      case "desc:import-promise": return this.#importPromise(position);
      case "desc:export": return this.#exported(position);
      case "desc:answer": return this.#answered(position);
      case "desc:sig-envelope": return new Unknown(label, ...fields);
      default: return plainRecord(label, fields);
    }
  }

  #import(position) {
    const entry = this.#imports.get(position);
    const alive = entry?.weak.deref();
    if (alive) { entry.count++; return alive; }
    const remote = new Remote(this);
    this.#enter(position, remote, (entry?.count ?? 0) + 1);
    return remote;
  }

  #enter(position, thing, count) {
    const entry = { weak: new WeakRef(thing), count };
    this.#imports.set(position, entry);
    this.#known.set(thing, rec("desc:export", position));
    this.#dropped.register(thing, { position, entry });
  }

  #importPromise(position) {
    const entry = this.#imports.get(position);
    const alive = entry?.weak.deref();
    if (alive) { entry.count++; return alive; }
    const { promise, descriptor } = this.#newResolver();
    const answer = new Answer(this, promise);
    this.#enter(position, answer, (entry?.count ?? 0) + 1);
    queueMicrotask(() => this.#send(rec("op:listen", rec("desc:export", position), descriptor, false)));
    return answer;
  }

  #exported(position) {
    const entry = this.#exports.get(position);
    if (!entry) throw new Error("a position that was never exported");
    return entry.thing;
  }

  #answered(position) {
    if (!this.#answers.has(position)) throw new Error("an answer that was never asked for");
    return this.#answers.get(position);
  }

  receiveMessage(to, args, position, resolver) {
    if (to instanceof Resolver) return this.#settle(to, args);
    const result = invoke(to, args);
    if (position !== false) this.#answers.set(position, result);
    if (resolver === false) result.catch((error) => console.warn("a message failed:", error));
    else this.reply(result, resolver);
  }

  reply(promise, resolver) {
    const tell = (verb, value) => this.#end && this.deliver(resolver, [sym(verb), value]);
    Promise.resolve(promise)
      .then((value) => tell("fulfill", value))
      .catch((error) => tell("break", String(error?.message ?? error)));
  }

  keep(position, promise) {
    promise.catch(() => {});
    this.#answers.set(position, promise);
  }

  #settle(resolver, [verb, value]) {
    this.#unsettled.delete(resolver);
    if (String(verb) === "fulfill") resolver.fulfill(value);
    else resolver.break(Object.assign(new Error(explain(value)), { reason: value }));
  }

  // --- garbage ---

  forgetExports(positions, deltas) {
    positions.forEach((position, i) => {
      const entry = this.#exports.get(position);
      if (!entry || position === 0) return;
      entry.count -= deltas[i];
      if (entry.count > 0) return;
      this.#exports.delete(position);
      this.#positions.delete(entry.thing);
    });
  }

  forgetAnswers(positions) { for (const position of positions) this.#answers.delete(position); }

  #collected({ answer, position, entry }) {
    if (!this.#end) return;
    if (answer !== undefined) return this.#send(rec("op:gc-answers", [answer]));
    if (this.#imports.get(position) !== entry || position === 0) return; // it has come again meanwhile
    this.#imports.delete(position);
    this.#send(rec("op:gc-exports", [position], [entry.count]));
  }
}

// What they select from what we have promised them. Only own members of plain data: `constructor` is none, and
// leads from any value to whatever JavaScript can do.
const selections = {
  "op:get": (whole, key) => isStruct(whole) && Object.hasOwn(whole, key) ? whole[key] : missing(),
  "op:index": (whole, index) => Array.isArray(whole) && Object.hasOwn(whole, index) ? whole[index] : missing(),
  "op:untag": (whole, tag) => whole instanceof Tagged && whole.tag === String(tag) ? whole.value : missing(),
};
const missing = () => { throw new Error("there is nothing of that name"); };
const select = (label) => (session, to, key, answer) =>
  session.keep(answer, Promise.resolve(to).then((whole) => selections[label](whole, key)));

const HANDLERS = {
  "op:deliver": (session, ...fields) => session.receiveMessage(...fields),
  "op:listen": (session, to, resolver) => session.reply(to, resolver),
  "op:get": select("op:get"),
  "op:index": select("op:index"),
  "op:untag": select("op:untag"),
  "op:gc-exports": (session, ...fields) => session.forgetExports(...fields),
  "op:gc-answers": (session, positions) => session.forgetAnswers(positions),
  "op:abort": (session, reason) => session.close(`the peer ended it: ${reason}`),
};

function explain(reason) {
  if (typeof reason === "string") return reason;
  if (reason instanceof Symbol_) return reason.name;
  return "the other side could not do it";
}
