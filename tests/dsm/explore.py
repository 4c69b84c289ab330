#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Explores all states of small clusters of the C core, and that a broken core is noticed.

Usage: explore.py EXPLORE CC [--long].  Prints TAP. EXPLORE is the program, CC the compiler.

Each mutant is the core with one rule of the protocol broken in its source: one place, which must
be there. It is compiled beside the rest of the explorer and must be caught by it.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CORE = ["directory", "hold", "proto", "proto_cache", "proto_home", "proto_move", "proto_put",
        "proto_region", "requests", "underway"]
SOURCES = [ROOT / "dsm" / f"{name}.c" for name in CORE] + [ROOT / "wire" / "msg.c"] + [
    ROOT / "tests" / "dsm" / f"explore{part}.c"
    for part in ("", "_check", "_core", "_events", "_search", "_step")]
FLAGS = ["-std=gnu17", "-D_GNU_SOURCE", "-O1", "-fno-strict-aliasing", f"-I{ROOT}"]
TIMEOUT = 1800       # of a long search
MUTANT_TIMEOUT = 60

# "all": the search must come to its end. Faults are not limited unless said.
SEARCHES = [
    ("two nodes, turns, all kinds of events", True,
     "--turns --prefetches 255 --zeros --idle --states 1000000"),
    ("two nodes, turns, one crashes", True, "--turns --zeros --crash --states 1000000"),
    ("four nodes, no turns", True, "--nodes 4 --zeros --states 1000000"),
    ("three nodes, no turns, one crashes", True, "--nodes 3 --zeros --crash --states 1000000"),
    ("three nodes, two faults each, turns", True, "--nodes 3 --turns --faults 2 --states 2000000"),
    ("two nodes, two pages, one request at a time", True,
     "--pages 2 --apart --pending 1 --zeros --states 1000000"),
    ("two nodes, two pages of one home, three faults each, turns", True,
     "--pages 2 --turns --faults 3 --states 2000000"),
    ("two nodes, two pages of two homes, turns, two faults each", True,
     "--pages 2 --apart --turns --faults 2 --states 1000000"),
    ("three nodes, turns, from the start on", False, "--nodes 3 --turns --states 1500000"),
    ("three nodes, two pages of two homes, no turns", True,
     "--nodes 3 --pages 2 --apart --states 5000000"),
    ("three nodes, copies go back", True, "--nodes 3 --zeros --puts 255 --states 1000000"),
    ("three nodes, copies go back, one crashes", True,
     "--nodes 3 --zeros --crash --puts 255 --states 1000000"),
    ("two nodes, two pages, copies go back, one request at a time", True,
     "--pages 2 --apart --pending 1 --puts 255 --states 1000000"),
    ("three nodes, turns, one fault and one offer each", True,
     "--nodes 3 --turns --faults 1 --puts 1 --states 2000000"),
    ("three nodes, turns, copies go back, from the start on", False,
     "--nodes 3 --turns --puts 255 --zeros --states 1000000"),
    ("three nodes, copies go back, regions become plain again", True,
     "--nodes 3 --zeros --puts 255 --untrack --states 1000000"),
    ("two nodes, turns, regions become plain again", True,
     "--turns --faults 3 --puts 2 --untrack --states 1000000"),
    ("three nodes, homes move and are refused", True,
     "--nodes 3 --moves 255 --refuse --zeros --states 1000000"),
    ("three nodes, homes move, copies go back, regions become plain", True,
     "--nodes 3 --moves 1 --puts 255 --untrack --zeros --states 2000000"),
    ("three nodes, homes move, one crashes", True,
     "--nodes 3 --moves 1 --crash --zeros --states 1000000"),
    ("two nodes, two pages, homes move, one request at a time", True,
     "--pages 2 --apart --pending 1 --moves 255 --states 1000000"),
    ("three nodes, two faults each, turns, homes move, from the start on", False,
     "--nodes 3 --turns --faults 2 --moves 1 --states 1000000"),
    ("four nodes, one fault each, turns", True, "--nodes 4 --turns --faults 1 --states 1000000"),
    ("four nodes, no turns, one crashes", True, "--nodes 4 --zeros --crash --states 1000000"),
    ("four nodes, one fault each, turns, one crashes", True,
     "--nodes 4 --turns --faults 1 --crash --states 1000000"),
    ("four nodes, copies go back, one crashes", True,
     "--nodes 4 --crash --puts 255 --states 1000000"),
    ("two nodes, two pages of one home, three faults each, turns, one crashes", True,
     "--pages 2 --turns --faults 3 --crash --states 1000000"),
    ("two nodes, two pages of two homes, two faults each, turns, one crashes", True,
     "--pages 2 --apart --turns --faults 2 --crash --states 1000000"),
    ("two nodes, two pages, copies go back, one crashes", True,
     "--pages 2 --apart --crash --puts 255 --states 1000000"),
    ("two nodes, two pages, homes move, one request at a time, one crashes", True,
     "--pages 2 --apart --pending 1 --crash --moves 255 --states 1000000"),
    ("three nodes, two pages of two homes, one request at a time, one crashes", True,
     "--nodes 3 --pages 2 --apart --pending 1 --zeros --crash --states 1000000"),
    ("three nodes, two pages of two homes, one fault each, turns, one crashes", True,
     "--nodes 3 --pages 2 --apart --turns --faults 1 --crash --states 1000000"),
    ("four nodes, two pages of two homes, one fault each, one crashes", True,
     "--nodes 4 --pages 2 --apart --faults 1 --pending 1 --crash --states 1000000"),
]
LONG = [
    ("three nodes, three faults each, turns", False,
     "--nodes 3 --turns --faults 3 --states 32000000"),
    ("four nodes, turns, from the start on", False,
     "--nodes 4 --turns --states 32000000"),
    ("two nodes, two pages, turns, from the start on", False,
     "--pages 2 --apart --turns --prefetches 255 --states 32000000"),
    ("three nodes, two pages, two faults each, turns", False,
     "--nodes 3 --pages 2 --apart --turns --faults 2 --states 32000000"),
    ("three nodes, two pages of two homes, no turns, one crashes", True,
     "--nodes 3 --pages 2 --apart --crash --states 8000000"),
    ("four nodes, two faults each, turns, one crashes, from the start on", False,
     "--nodes 4 --turns --faults 2 --crash --states 12000000"),
    ("two nodes, two pages of two homes, turns, one crashes, from the start on", False,
     "--pages 2 --apart --turns --zeros --crash --states 8000000"),
]
REORDER = "--nodes 3 --zeros --reorder --states 1000000"
MUTANT_SEARCH = "--nodes 3 --turns --faults 3 --prefetches 1 --states 1000000"

PUTS = "--nodes 3 --puts 255 --states 1000000"
PUTS_TURNS = "--nodes 3 --turns --faults 3 --puts 2 --states 2000000"
UNTRACK = "--nodes 3 --puts 255 --untrack --states 1000000"
MOVES = "--nodes 3 --moves 2 --puts 255 --refuse --states 2000000"
TWO_PAGES = "--pages 2 --turns --faults 3 --states 2000000"

# What is broken, in which file, what is replaced by what; the search, if it is another one.
MUTANTS = [
    ("demands that give way to older ones are forgotten", "hold",
     "if (!list_empty(&t->due))\n\t\treturn first(&t->due);", "", TWO_PAGES),
    ("a fault event is taken although no request can be made", "proto",
     "\t\treturn -EAGAIN;", "\t\treturn 0;",
     "--pages 2 --pending 1"),
    ("a sharer acknowledges but keeps its copy", "proto_cache",
     "r = proto_act_on(p, DSM_DROP, at->gpa);", "r = 0;"),
    ("a sharer does not acknowledge", "proto_cache",
     "return r < 0 ? r : proto_send(p, offered ? at->home : h->node, &answer);",
     "(void)offered;\n\treturn r < 0 || !grants ? r : proto_send(p, h->node, &answer);"),
    ("an owner stays writable beside a reader", "proto_cache",
     "r = proto_act_on(p, DSM_PROTECT, at->gpa);", "r = 0;"),
    ("an owner forgets that it shares", "proto_cache",
     "set_copy(at, write ? DSM_NONE : DSM_SHARED);",
     "set_copy(at, write ? DSM_NONE : owned ? DSM_OWNED : DSM_SHARED);"),
    ("who gives its page away keeps it", "proto",
     "gives ? DSM_GIVE : DSM_SEND", "DSM_SEND"),
    ("who gives its page away thinks that it has it", "proto_cache",
     "set_copy(at, write ? DSM_NONE : DSM_SHARED);", "set_copy(at, DSM_SHARED);"),
    ("a grant does not wait for acknowledgements", "proto_cache",
     "return (unsigned)__builtin_popcountll(u->acked) == u->acks;", "return u->granted;"),
    ("a grant waits for one acknowledgement less", "proto_cache",
     "u->acks = h->acks;", "u->acks = h->acks ? (uint16_t)(h->acks - 1) : 0;"),
    ("a read grant is mapped writable", "proto_cache",
     ".map = {.data = data, .writable = writable}", ".map = {.data = data, .writable = true}"),
    ("the requester does not say DONE", "proto_cache",
     "return over ? 0 : proto_send(p, at->home, &done);",
     "(void)over;\n\t(void)done;\n\treturn 0;"),
    ("the requester says DONE to a home that is done", "proto_cache",
     "return over ? 0 : proto_send(p, at->home, &done);",
     "(void)over;\n\treturn proto_send(p, at->home, &done);"),
    ("the requester waits for acknowledgements and does not say DONE", "proto_cache",
     "at->home != p->cfg.self && !h->acks;", "at->home != p->cfg.self;"),
    ("the home is done with an upgrade that waits for acknowledgements", "proto_home",
     "if (to != p->cfg.self && !acks)", "if (to != p->cfg.self)"),
    ("the home is done with a page of its own that waits for acknowledgements", "proto_home",
     "return h->acks ? 0 : home_next(p, at);", "(void)h;\n\treturn home_next(p, at);"),
    ("the home is done with a grant that the owner sends", "proto_home",
     "return proto_send(p, source, &h);",
     "if (source != p->cfg.self)\n"
     "\t\tat->entry->requester = NO_NODE;\n"
     "\treturn proto_send(p, source, &h);"),
    ("the home waits for a DONE that nobody says", "proto_home",
     "if (to != p->cfg.self && !acks)", "if (0 && to && !acks)"),
    ("the home grants an upgrade and keeps its own copy", "proto_home",
     "if (upgrade && !own)", "if (upgrade)"),
    ("the home grants an upgrade, then drops its own copy", "proto_cache",
     "r = proto_act_on(p, DSM_DROP, at->gpa);\n"
     "\treturn r < 0 ? r : proto_send(p, offered ? at->home : h->node, &answer);",
     "r = proto_send(p, offered ? at->home : h->node, &answer);\n"
     "\treturn r < 0 ? r : proto_act_on(p, DSM_DROP, at->gpa);"),
    ("the home forgets who waits for its own copy", "proto_home",
     "return h->acks ? 0 : home_next(p, at);",
     "(void)p;\n\tif (!h->acks)\n\t\tat->entry->requester = NO_NODE;\n\treturn 0;"),
    ("the home begins with one of those that wait, which is over at once", "proto_home",
     "while (r == 0 && e->requester", "if (r == 0 && e->requester", PUTS),
    ("a demand that waits for a turn is lost", "hold",
     "\tu->demand = *demand;\n\tlist_del(&u->link);",
     "\tu->demand = *demand;\n\tforget(t, u);\n\treturn true;\n\tlist_del(&u->link);"),
    ("a demand is served and still waits", "hold",
     "\tforget(t, u);\n\treturn u->demand;", "\t(void)t;\n\treturn u->demand;"),
    ("a fault joins a prefetch and is not counted as waiting for", "proto",
     "if (suffices(page_copy(p, at), write)) /*", "if (suffices(page_copy(p, at), write) || page_is_asked(at)) /*"),
    ("a shared copy is thought to be enough for a write", "proto",
     "(copy == DSM_SHARED && !write);", "copy == DSM_SHARED;"),
    ("the home begins although another transaction is under way", "proto_home",
     "if (e->requester == NO_NODE && region_state(p, at->gpa) == REGION_SETTLED)",
     "if (!e->queue)"),
    ("the home forgets who waits", "proto_home",
     "while (r == 0 && e->requester", "while (0 && e->requester"),
    ("the home asks nobody to give up a copy", "proto_home",
     "return r < 0 ? r : invalidate(p, at, others);", "return r;"),
    ("the home counts the giver among those that acknowledge", "proto_home",
     "others &= ~node_bit(source);\n\tacks = (unsigned)__builtin_popcountll(others);",
     "acks = (unsigned)__builtin_popcountll(others);\n\tothers &= ~node_bit(source);"),
    ("an owner is still one after it was read from", "proto_home",
     "e->owner = NO_NODE;\n\te->sharers |=", "e->sharers |="),
    ("a reader is not entered", "proto_home",
     "e->sharers |= node_bit(req->node);", ""),
    ("a writer that has lost its copy is granted an upgrade", "proto_home",
     "bool upgrade = others != e->sharers,", "bool upgrade = e->sharers != 0,"),
    ("a zero page has no owner", "proto_home",
     "set_owner(e, req->node);\n\t\treturn grant(", "return grant("),
    ("the home strikes out a sharer that still has its copy", "proto_put",
     "return proto_send(p, h->from, &drop);", "(void)drop;\n\treturn home_next(p, at);",
     PUTS),
    ("the home does not wait until an offered copy is gone", "proto_put",
     "return proto_send(p, h->from, &drop);",
     "e->requester = NO_NODE;\n\treturn proto_send(p, h->from, &drop);", PUTS),
    ("the home tells an owner to drop its page", "proto_put",
     "if (e->sharers == node_bit(h->from))",
     "if (e->owner == NO_NODE && e->sharers == node_bit(h->from))", PUTS),
    ("the home lets the last copy go", "proto_put",
     "if (e->sharers == node_bit(h->from))",
     "if (e->owner != NO_NODE)", PUTS),
    ("an offer is taken while a transaction is under way", "proto_put",
     "region_state(p, at->gpa) != REGION_SETTLED || e->requester != NO_NODE ||",
     "region_state(p, at->gpa) != REGION_SETTLED ||", PUTS),
    ("an offer of a copy that has left is taken", "proto_put",
     "!(e->sharers & node_bit(h->from)))", "0)", PUTS),
    ("a node that has offered its copy keeps it", "proto_cache",
     "set_copy(at, DSM_NONE);\n\tr = proto_act_on(p, DSM_DROP, at->gpa);",
     "r = offered ? 0 : (set_copy(at, DSM_NONE), proto_act_on(p, DSM_DROP, at->gpa));",
     PUTS),
    ("the home forgets who waits behind a copy that goes back", "proto_put",
     "return home_next(p, at);", "at->entry->requester = NO_NODE;\n\treturn 0;", PUTS),
    ("a region of which another node has a page becomes plain", "proto_region",
     "(at.entry->sharers & ~node_bit(p->cfg.self)) ||", "", UNTRACK),
    ("a region becomes plain while its home waits for a page", "proto_region",
     "return at->entry->requester != NO_NODE || page_is_asked(at) ||", "return", UNTRACK),
    ("a home moves while a transaction is under way", "proto_move",
     "|| !is_idle(p, region))", "|| (!is_idle(p, region) && 0))", MOVES),
    ("a home that leaves begins with what comes", "proto_home",
     "if (e->requester == NO_NODE && region_state(p, at->gpa) == REGION_SETTLED)",
     "if (e->requester == NO_NODE && region_state(p, at->gpa) != REGION_ARRIVING)", MOVES),
    ("a new home begins before the directory is there", "proto_home",
     "if (e->requester == NO_NODE && region_state(p, at->gpa) == REGION_SETTLED)",
     "if (e->requester == NO_NODE && region_state(p, at->gpa) != REGION_LEAVING)", MOVES),
    ("a new home forgets what waited for the directory", "proto_move",
     "return begin_all(p, ALIGN_DOWN(h->addr, REGION_BYTES), now);", "return 0;", MOVES),
    ("the others are told when the new home is", "proto_move",
     "r = tell(p, WIRE_REHOME, region, to, to, 0);",
     "p->move.told = true;\n"
     "\tp->move.waiting = (node_bit(p->cfg.nodes) - 1) & ~node_bit(p->cfg.self);\n"
     "\tfor (unsigned i = r = 0; i < p->cfg.nodes; i++)\n"
     "\t\tif (i != p->cfg.self)\n"
     "\t\t\ttell(p, WIRE_REHOME, region, to, i, 0);", MOVES.replace(" --refuse", "")),
    ("the directory leaves before all have answered", "proto_move",
     "return r < 0 || m->waiting ? r : hand_over(p);",
     "m->waiting = 0;\n\treturn r < 0 ? r : hand_over(p);", MOVES),
    ("who waits does not ask the new home", "proto_move",
     "r = tell(p, WIRE_REHOME_ACK, h->addr, h->node, h->from, 0);\n"
     "\treturn r < 0 ? r : ask_again(p, h->addr);\n}\n\n/*\n",
     "return tell(p, WIRE_REHOME_ACK, h->addr, h->node, h->from, 0);\n}\n\n/*\n", MOVES),
    ("the old home does not ask the new one", "proto_move",
     "r = proto_act_on(p, DSM_LEFT, region);\n\treturn r < 0 ? r : ask_again(p, region);",
     "return proto_act_on(p, DSM_LEFT, region);", MOVES),
    ("the new home does not ask itself", "proto_move",
     "return r < 0 ? r : ask_again(p, h->addr);\n}\n\nstatic int announced(",
     "return r;\n}\n\nstatic int announced(", MOVES),
    ("a home that was refused begins with nothing that waits", "proto_move",
     "return begin_all(p, p->move.region, now);", "return 0;", MOVES),
    ("the directory arrives without its owners", "proto_move",
     "e->owner = home.owner[i];", "", MOVES),
    ("a new home forgets its own copy", "directory",
     ".copy = region->copy ? region->copy[i] : DSM_NONE,", ".copy = DSM_NONE,", MOVES),
    ("the old home forgets its copies", "directory",
     "table[i] = region->home[i].copy;", "table[i] = DSM_NONE;", MOVES),
    ("a home that leaves takes an offer", "proto_put",
     "region_state(p, at->gpa) != REGION_SETTLED ||", "", MOVES),
    ("a page that is not under way any more has a record", "proto",
     "if (at->under)\n\t\tunderway_release(&p->underway, at->under);", "(void)p;\n\t(void)at;"),
    ("a queue loses all behind the first", "requests",
     "if (first == *queue)\n", "if (first)\n"),
]


class Tap:
    def __init__(self, count):
        self.number, self.failed = 0, False
        print(f"1..{count}", flush=True)

    def case(self, good, name, output=""):
        self.number += 1
        self.failed |= not good
        lines = output.splitlines()
        print("".join(f"# {line.removeprefix('# ')}\n" for line in lines[-60:]), end="")
        print(f"{'ok' if good else 'not ok'} {self.number} - {name}", flush=True)


def run(program, arguments, timeout=TIMEOUT):
    try:
        done = subprocess.run([program, *arguments.split()], capture_output=True, text=True,
                              timeout=timeout)
    except subprocess.TimeoutExpired:
        return -1, f"no end after {timeout} s"
    return done.returncode, done.stdout + done.stderr


def search(tap, program, name, complete, arguments):
    status, output = run(program, arguments)
    good = status == 0 and bool(re.search(r" states, all,", output) if complete else True)
    tap.case(good, name, output)


def compile_all(compiler, sources, folder):
    subprocess.run([compiler, *FLAGS, "-c", *sources], cwd=folder, check=True, timeout=TIMEOUT)


def mutant(tap, compiler, folder, case):
    name, file, old, new, *search = case
    text = (ROOT / "dsm" / f"{file}.c").read_text()
    if text.count(old) != 1:
        tap.case(False, f"noticed: {name}", f"dsm/{file}.c has not one place to break")
        return
    broken = folder / "broken"
    broken.mkdir(exist_ok=True)
    (broken / f"{file}.c").write_text(text.replace(old, new))
    compile_all(compiler, [broken / f"{file}.c"], broken)
    others = [folder / f"{source.stem}.o" for source in SOURCES if source.stem != file]
    subprocess.run([compiler, "-o", broken / "explore", broken / f"{file}.o", *others],
                   check=True, timeout=TIMEOUT)
    status, output = run(broken / "explore", (search or [MUTANT_SEARCH])[0],
                         MUTANT_TIMEOUT)
    found = status == 1 and re.search(r"FAILURE: (.*)", output)
    steps = output.count("\n") - 1
    tap.case(bool(found), f"noticed: {name}",
             f"after {steps} events: {found.group(1)}" if found else output)


def main():
    program, compiler = sys.argv[1:3]
    searches = LONG if "--long" in sys.argv else SEARCHES
    mutants = [] if "--long" in sys.argv else MUTANTS
    tap = Tap(len(searches) + len(mutants) + bool(mutants))
    for case in searches:
        search(tap, program, *case)
    if mutants:
        status, output = run(program, REORDER)
        tap.case(status == 1, "noticed: messages between two nodes overtake each other", output)
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            compile_all(compiler, SOURCES, folder)
            for case in mutants:
                mutant(tap, compiler, folder, case)
    return tap.failed


if __name__ == "__main__":
    sys.exit(main())
