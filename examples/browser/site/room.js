// The page: enters the room whose URI is behind the #, shows what it hears, and comes back when the way was lost.

import { Session, far, parseUri } from "./ocapn.js";

const $ = (id) => document.getElementById(id);
const NAME_KEY = "guest-book-name";
const FIRST_PAUSE = 500, LONGEST_PAUSE = 10_000;
const HEARTBEAT = 20_000, PATIENCE = 10_000;

const uri = location.hash.slice(1);
let name = sessionStorage.getItem(NAME_KEY) ?? "";
let seat = null; // what we do, we do by this; null while there is no connection

// --- what is shown ---------------------------------------------------------------------------------------------

function showStatus(state, text) {
  $("status").hidden = false;
  $("status").dataset.state = state;
  $("status-text").textContent = text;
  $("room").toggleAttribute("data-lost", state !== "connected");
  for (const button of document.querySelectorAll("#room button")) button.disabled = state !== "connected";
}

function element(tag, text, parent) {
  const made = document.createElement(tag);
  made.textContent = text; // never as HTML: what guests write is text
  parent?.append(made);
  return made;
}

function showEntry(entry) {
  const item = document.createElement("li");
  element("p", entry.words, item);
  element("cite", `— ${entry.guest}`, item);
  $("entries").prepend(item);
}

function showLine(line) {
  const item = document.createElement("li");
  item.classList.toggle("own", line.guest === name);
  element("b", line.guest, item);
  item.append(` ${line.words}`);
  const list = $("lines"), atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(item);
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function showPresent(names) {
  $("present").textContent = names.length === 1 ? "Only you are here." : `Here: ${names.join(", ")}`;
}

function showRoom(room) {
  $("title").textContent = document.title = room.title;
  for (const id of ["entries", "lines"]) $(id).replaceChildren();
  room.entries.forEach(showEntry);
  room.lines.forEach(showLine);
  $("lines").scrollTop = $("lines").scrollHeight;
  $("welcome").hidden = true;
  $("room").hidden = false;
}

// --- the connection ----------------------------------------------------------------------------------------------

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const late = (milliseconds) => pause(milliseconds).then(() => { throw new Error("no answer"); });

// Enters, and stays until the connection is lost.
async function visit() {
  const { session, object: room } = await Promise.race([Session.enliven(uri), late(PATIENCE)]);
  try {
    const listener = far({ said: showLine, signed: showEntry, present: showPresent });
    const entered = await Promise.race([room.call("enter", name, listener), late(PATIENCE)]);
    showRoom(entered);
    seat = entered.seat;
    showStatus("connected", "Connected");
    await Promise.race([session.closed, listenToHeart(room)]);
  } finally {
    seat = null;
    session.close();
  }
}

// A connection can die without a word: then only asking tells.
async function listenToHeart(room) {
  for (;;) {
    await pause(HEARTBEAT);
    await Promise.race([room.call("names"), late(PATIENCE)]);
  }
}

async function stay() {
  let wait = FIRST_PAUSE;
  for (;;) {
    const began = Date.now();
    try {
      await visit();
    } catch (error) {
      console.info("the room is out of reach:", error.message);
    }
    if (Date.now() - began > LONGEST_PAUSE) wait = FIRST_PAUSE;
    showStatus("lost", "Connection lost, trying again…");
    await Promise.race([pause(wait * (0.75 + Math.random() / 2)), online()]);
    wait = Math.min(wait * 2, LONGEST_PAUSE);
  }
}

const online = () => new Promise((resolve) => addEventListener("online", resolve, { once: true }));

// --- what the guest does -------------------------------------------------------------------------------------------

function onSubmit(form, field, act) {
  $(form).addEventListener("submit", async (event) => {
    event.preventDefault();
    const words = $(field).value.trim();
    if (!words || !seat) return;
    $(field).value = "";
    try {
      await act(words);
    } catch {
      $(field).value ||= words; // it may not have arrived: nothing is lost that was typed
    }
  });
}

onSubmit("sign", "entry", (words) => seat.call("sign", words));
onSubmit("say", "line", (words) => seat.call("say", words));

$("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  name = $("name").value.trim();
  if (!name) return;
  sessionStorage.setItem(NAME_KEY, name);
  start();
});

function start() {
  if (start.done) return;
  start.done = true;
  showStatus("connecting", "Connecting…");
  stay();
}

function complain(text) {
  $("problem-text").textContent = text;
  $("problem").hidden = false;
  showStatus("lost", "Not connected");
}

addEventListener("hashchange", () => location.reload());
$("entries").dataset.empty = "Nobody has signed yet.";
$("lines").dataset.empty = "It is quiet.";

try {
  parseUri(uri);
  if (!globalThis.crypto?.subtle) throw new Error("Browsers allow this over https:// only, or on this machine.");
  $("title").textContent = "At the door";
  if (name) start();
  else {
    $("welcome").hidden = false;
    $("name").focus();
  }
} catch (error) {
  $("title").textContent = "No room";
  complain(`Ask whoever invited you for the whole link. (${error.message})`);
}
