-- SPDX-License-Identifier: Apache-2.0
--
-- The coherence protocol (dsm/proto.h) for one page and three nodes, for rumur or CMurphi.
--
-- Goal: every reachable state, under every order of messages that connections allow, keeps "one
-- writer or many readers", "a copy is the last value written" and "at rest the directory agrees
-- with the copies"; no message ever meets a state in which the C core would answer -EPROTO; and
-- from every state every request can still be answered.
--
-- What is modelled: the same messages, checks and states as in dsm/proto_home.c and
-- dsm/proto_cache.c; each rule names the C function that it mirrors. Node 0 is the home. The
-- network has a place for each (type, sender, receiver); that a place is free when it is needed is
-- itself checked. What the home sends to a node keeps its order: a demand stays behind a GRANT, and
-- that none has to come before a GRANT is checked, too. Any other two messages may overtake each
-- other, also those that a connection would keep in order.
--
-- What is wider than the code: messages to self travel like others, at any time; zero pages that
-- are found by the sender's driver need no state of their own (ZERO is DATA of value 0).
-- What is left out: turns (an INV or FWD that waits for the end of one is as one that is still
-- under way), prefetch (a request like any other), duplicate fault events (they join a request or
-- change nothing), several pages (pages share no state but the pools), tracking (the start states
-- are what it may find).
--
-- BROKEN switches a rule off, to show that the model would notice: 1 a sharer acknowledges an
-- invalidation but keeps its copy; 2 a grant does not wait for the acknowledgements; 3 the owner
-- keeps its copy writable when it sends it to a reader; 4 the requester sends DONE with the grant
-- although acknowledgements are missing; 5 the home does not wait for DONE although acknowledgements
-- are missing; 6 the home grants an upgrade before it has dropped its own copy; 7 a demand overtakes
-- the home's grant; 8 the home counts its own copy among those that acknowledge.

const
	NODES: 3;
	HOME: 0;
	BROKEN: 0;

type
	Node: 0 .. NODES - 1;
	Count: 0 .. NODES;
	Value: 0 .. 1;
	Copy: enum { NONE, SHARED, OWNED };
	Want: enum { NOTHING, READ, WRITE };
	Demand: enum { NO_DEMAND, FWD_GETS, FWD_GETM, INV };

	Grant: record
		present: boolean;
		from: Node;
		write: boolean;
		data: boolean; -- DATA or ZERO; else an upgrade
		zero: boolean; -- from a zero page: a reader may get it writable
		acks: Count;
		value: Value;
	end;

	Pending: record -- struct pending
		want: Want;
		granted: boolean;
		acks: Count;
		acked: array [Node] of boolean;
		over: boolean;
	end;

	Cache: record
		copy: Copy;
		value: Value;
		pending: Pending;
	end;

	Entry: record -- struct home_entry and its queue
		sharers: array [Node] of boolean;
		has_owner: boolean;
		owner: Node;
		busy: boolean;
		requester: Node;
		queued: Count;
		queue_node: array [Node] of Node;
		queue_want: array [Node] of Want;
	end;

	Network: record
		request: array [Node] of Want;	       -- GETS, GETM: requester -> home
		done: array [Node] of boolean;	       -- requester -> home
		demand: array [Node] of Demand;	       -- home -> sharer or owner
		demand_for: array [Node] of Node;      -- `node` of that
		demand_acks: array [Node] of Count;    -- `acks` of that; INV: of the home's own copy
		ack: array [Node] of array [Node] of boolean; -- sharer -> requester
		grant: array [Node] of Grant;	       -- to the requester
	end;

var
	cache: array [Node] of Cache;
	entry: Entry;
	net: Network;
	last: Value; -- what was written last, by anybody

function sharers_of(): Count;
var n: Count;
begin
	n := 0;
	for i: Node do
		if entry.sharers[i] then n := n + 1; end;
	end;
	return n;
end;

function acks_of(i: Node): Count;
var n: Count;
begin
	n := 0;
	for k: Node do
		if cache[i].pending.acked[k] then n := n + 1; end;
	end;
	return n;
end;

function is_queued(i: Node): boolean;
begin
	for k: Node do
		if k < entry.queued & entry.queue_node[k] = i then return true; end;
	end;
	return false;
end;

-- A demand to the node is behind a GRANT of the home.
function is_behind(i: Node): boolean;
begin
	return net.grant[i].present & net.grant[i].from = HOME & BROKEN != 7;
end;

procedure send_demand(to_: Node; d: Demand; requester: Node; acks: Count);
begin
	assert "one demand under way" net.demand[to_] = NO_DEMAND;
	net.demand[to_] := d;
	net.demand_for[to_] := requester;
	net.demand_acks[to_] := acks;
end;

procedure send_grant(to_: Node; from: Node; write: boolean; data: boolean; zero: boolean;
		     acks: Count; value: Value);
begin
	assert "one grant under way" !net.grant[to_].present;
	assert "nothing has to come before a grant" from != HOME | net.demand[to_] = NO_DEMAND;
	net.grant[to_].present := true;
	net.grant[to_].from := from;
	net.grant[to_].write := write;
	net.grant[to_].data := data;
	net.grant[to_].zero := zero;
	if BROKEN = 2 then
		net.grant[to_].acks := 0;
	else
		net.grant[to_].acks := acks;
	end;
	net.grant[to_].value := value;
end;

-- granted()
procedure granted(to_: Node; acks: Count);
begin
	if to_ != HOME & (acks = 0 | BROKEN = 5) then
		entry.busy := false;
		undefine entry.requester;
	end;
end;

procedure set_owner(i: Node);
begin
	for k: Node do entry.sharers[k] := k = i; end;
	entry.has_owner := true;
	entry.owner := i;
end;

-- source_of()
function source_of(requester: Node): Node;
var s: Node;
begin
	if entry.has_owner then return entry.owner; end;
	if entry.sharers[HOME] then return HOME; end;
	for k: Node do
		s := (requester + 1 + k) % NODES;
		if entry.sharers[s] then return s; end;
	end;
	error "no source of a page that is not zero";
end;

-- begin_write()
procedure begin_write(requester: Node);
var source: Node;
var upgrade: boolean;
var acks: Count;
begin
	upgrade := entry.sharers[requester];
	if upgrade then source := HOME; else source := source_of(requester); end;
	acks := 0;
	for k: Node do
		if entry.sharers[k] & k != requester & (k != source | BROKEN = 8) then
			acks := acks + 1;
		end;
	end;
	for k: Node do
		if entry.sharers[k] & k != requester & k != source then
			send_demand(k, INV, requester, 0);
		end;
	end;
	if !upgrade then
		send_demand(source, FWD_GETM, requester, acks);
	elsif entry.sharers[HOME] & requester != HOME then
		send_demand(HOME, INV, requester, acks);
	else
		send_grant(requester, HOME, true, false, false, acks, 0);
		granted(requester, acks);
	end;
	set_owner(requester);
end;

-- begin()
procedure start(requester: Node; want: Want);
begin
	entry.busy := true;
	entry.requester := requester;
	if sharers_of() = 0 then
		set_owner(requester);
		send_grant(requester, HOME, true, true, true, 0, 0);
		granted(requester, 0);
	elsif want = WRITE then
		begin_write(requester);
	else
		-- begin_read()
		send_demand(source_of(requester), FWD_GETS, requester, 0);
		entry.has_owner := false;
		undefine entry.owner;
		entry.sharers[requester] := true;
	end;
end;

-- begin_next()
procedure begin_next();
var next: Node;
var want: Want;
begin
	while !entry.busy & entry.queued > 0 do
		next := entry.queue_node[0];
		want := entry.queue_want[0];
		for k: Node do
			if k + 1 < entry.queued then
				entry.queue_node[k] := entry.queue_node[k + 1];
				entry.queue_want[k] := entry.queue_want[k + 1];
			end;
		end;
		entry.queued := entry.queued - 1;
		entry.queue_node[entry.queued] := 0;
		entry.queue_want[entry.queued] := NOTHING;
		start(next, want);
	end;
end;

-- home_gave()
procedure home_gave(i: Node; requester: Node; acks: Count);
begin
	if i = HOME then
		granted(requester, acks);
		begin_next();
	end;
end;

procedure clear_pending(i: Node);
begin
	cache[i].pending.want := NOTHING;
	cache[i].pending.granted := false;
	cache[i].pending.over := false;
	cache[i].pending.acks := 0;
	for k: Node do cache[i].pending.acked[k] := false; end;
end;

-- complete()
procedure complete(i: Node);
begin
	if !cache[i].pending.over then
		assert "one DONE under way" !net.done[i];
		net.done[i] := true;
	end;
	clear_pending(i);
end;

procedure start_state();
begin
	for i: Node do
		cache[i].copy := NONE;
		cache[i].value := 0;
		clear_pending(i);
		net.request[i] := NOTHING;
		net.done[i] := false;
		net.demand[i] := NO_DEMAND;
		net.demand_for[i] := 0;
		net.demand_acks[i] := 0;
		for k: Node do net.ack[i][k] := false; end;
		net.grant[i].present := false;
		net.grant[i].from := 0;
		net.grant[i].write := false;
		net.grant[i].data := false;
		net.grant[i].zero := false;
		net.grant[i].acks := 0;
		net.grant[i].value := 0;
		entry.sharers[i] := false;
		entry.queue_node[i] := 0;
		entry.queue_want[i] := NOTHING;
	end;
	entry.has_owner := false;
	entry.busy := false;
	undefine entry.owner;
	undefine entry.requester;
	entry.queued := 0;
	last := 0;
end;

startstate "zero page" -- directory_track(), not populated
begin
	start_state();
end;

startstate "page of the home" -- directory_track(), populated
begin
	start_state();
	set_owner(HOME);
	cache[HOME].copy := OWNED;
end;

-- The guest writes where it may.
ruleset i: Node; v: Value do
	rule "store" cache[i].copy = OWNED ==>
	begin
		cache[i].value := v;
		last := v;
	end;
end;

ruleset i: Node do
	-- dsm_proto_fault()
	rule "read fault" cache[i].copy = NONE & cache[i].pending.want = NOTHING ==>
	begin
		assert "one request under way" net.request[i] = NOTHING;
		cache[i].pending.want := READ;
		net.request[i] := READ;
	end;

	-- dsm_proto_fault()
	rule "write fault" cache[i].copy != OWNED & cache[i].pending.want = NOTHING ==>
	begin
		assert "one request under way" net.request[i] = NOTHING;
		cache[i].pending.want := WRITE;
		net.request[i] := WRITE;
	end;

	-- home_request()
	rule "GETS or GETM arrives" net.request[i] != NOTHING ==>
	begin
		assert "an owner asks for nothing" !(entry.has_owner & entry.owner = i);
		assert "a sharer does not ask to read" net.request[i] = WRITE | !entry.sharers[i];
		if entry.busy then
			assert "one request a node in the queue" !is_queued(i);
			entry.queue_node[entry.queued] := i;
			entry.queue_want[entry.queued] := net.request[i];
			entry.queued := entry.queued + 1;
		else
			start(i, net.request[i]);
		end;
		net.request[i] := NOTHING;
	end;

	-- home_done()
	rule "DONE arrives" net.done[i] ==>
	begin
		assert "DONE of the transaction" entry.busy & entry.requester = i;
		assert "the home's own part is done" net.demand[HOME] = NO_DEMAND;
		net.done[i] := false;
		entry.busy := false;
		undefine entry.requester;
		begin_next();
	end;

	-- cache_grant()
	rule "GRANT arrives" net.grant[i].present ==>
	var writable: boolean;
	begin
		-- grant_fits(), may_be_answered()
		assert "a request waits" cache[i].pending.want != NOTHING & !cache[i].pending.granted;
		assert "its transaction" i != HOME | (entry.busy & entry.requester = i);
		assert "a writer may write" cache[i].pending.want = READ | net.grant[i].write;
		assert "a reader may not" cache[i].pending.want = WRITE | !net.grant[i].write |
			(net.grant[i].zero & net.grant[i].from = HOME);
		assert "acks" acks_of(i) <= net.grant[i].acks | BROKEN = 2;
		if net.grant[i].data then
			assert "the page is not here" cache[i].copy = NONE;
			cache[i].value := net.grant[i].value;
		else
			assert "an upgrade" cache[i].copy = SHARED & net.grant[i].from = HOME &
				cache[i].pending.want = WRITE;
		end;
		cache[i].pending.granted := true;
		cache[i].pending.acks := net.grant[i].acks;
		cache[i].pending.over := net.grant[i].from = HOME & i != HOME &
			(net.grant[i].acks = 0 | BROKEN = 5);
		writable := net.grant[i].write &
			(acks_of(i) = net.grant[i].acks | BROKEN = 2);
		if writable then
			cache[i].copy := OWNED;
		else
			cache[i].copy := SHARED;
		end;
		if writable | cache[i].pending.acks = 0 then
			complete(i);
		elsif BROKEN = 4 & !net.done[i] then
			net.done[i] := true;
		end;
		net.grant[i].present := false;
		net.grant[i].from := 0;
		net.grant[i].write := false;
		net.grant[i].data := false;
		net.grant[i].zero := false;
		net.grant[i].acks := 0;
		net.grant[i].value := 0;
	end;

	-- cache_demand(), serve_inv()
	rule "INV arrives" net.demand[i] = INV & !is_behind(i) ==>
	var r: Node;
	var acks: Count;
	begin
		r := net.demand_for[i];
		acks := net.demand_acks[i];
		assert "a sharer" cache[i].copy = SHARED & !cache[i].pending.granted;
		assert "one ack under way" !net.ack[i][r];
		if BROKEN != 1 & (BROKEN != 6 | i != HOME) then
			cache[i].copy := NONE;
			cache[i].value := 0;
		end;
		net.demand[i] := NO_DEMAND;
		net.demand_for[i] := 0;
		net.demand_acks[i] := 0;
		if i = HOME then
			send_grant(r, HOME, true, false, false, acks, 0);
		else
			net.ack[i][r] := true;
		end;
		home_gave(i, r, acks);
	end;

	-- cache_demand(), serve_fwd()
	rule "FWD_GETS arrives" net.demand[i] = FWD_GETS & !is_behind(i) ==>
	var r: Node;
	begin
		r := net.demand_for[i];
		assert "has the page" cache[i].copy != NONE & !cache[i].pending.granted;
		send_grant(r, i, false, true, false, 0, cache[i].value);
		if BROKEN != 3 then cache[i].copy := SHARED; end;
		net.demand[i] := NO_DEMAND;
		net.demand_for[i] := 0;
		home_gave(i, r, 0);
	end;

	-- cache_demand(), serve_fwd()
	rule "FWD_GETM arrives" net.demand[i] = FWD_GETM & !is_behind(i) ==>
	var r: Node;
	var acks: Count;
	begin
		r := net.demand_for[i];
		acks := net.demand_acks[i];
		assert "has the page" cache[i].copy != NONE & !cache[i].pending.granted;
		send_grant(r, i, true, true, false, acks, cache[i].value);
		cache[i].copy := NONE;
		cache[i].value := 0;
		net.demand[i] := NO_DEMAND;
		net.demand_for[i] := 0;
		net.demand_acks[i] := 0;
		home_gave(i, r, acks);
	end;
end;

-- cache_ack()
ruleset i: Node; from: Node do
	rule "INV_ACK arrives" net.ack[from][i] ==>
	begin
		net.ack[from][i] := false;
		if BROKEN != 2 then
			assert "a write waits" cache[i].pending.want = WRITE;
			assert "not twice" !cache[i].pending.acked[from];
			assert "the home does not acknowledge" from != HOME;
			assert "its transaction" i != HOME | (entry.busy & entry.requester = i);
			cache[i].pending.acked[from] := true;
			if cache[i].pending.granted & acks_of(i) = cache[i].pending.acks then
				cache[i].copy := OWNED;
				if BROKEN = 4 then net.done[i] := false; end;
				complete(i);
			end;
		end;
	end;
end;

invariant "one writer or many readers"
	forall i: Node do
		cache[i].copy = OWNED ->
			forall k: Node do k != i -> cache[k].copy = NONE end
	end;

invariant "a copy is the last value"
	forall i: Node do cache[i].copy != NONE -> cache[i].value = last end;

-- A copy that the home has granted may still be on its way.
invariant "at rest the directory agrees"
	!entry.busy -> forall i: Node do
		entry.sharers[i] = (cache[i].copy != NONE | net.grant[i].present) &
		(entry.has_owner & entry.owner = i) =
			(cache[i].copy = OWNED | (net.grant[i].present & net.grant[i].write))
	end;

-- Rumur: from every reachable state one can be reached in which this holds.
liveness "node 0 is answered" cache[0].pending.want = NOTHING;
liveness "node 1 is answered" cache[1].pending.want = NOTHING;
liveness "node 2 is answered" cache[2].pending.want = NOTHING;

-- The states of interest are reached.
cover "an ack comes before its grant"
	exists i: Node do !cache[i].pending.granted & acks_of(i) > 0 end;
cover "a page is readable before all acks"
	exists i: Node do cache[i].pending.granted & cache[i].copy = SHARED end;
cover "a demand waits behind a grant"
	exists i: Node do is_behind(i) & net.demand[i] != NO_DEMAND end;
cover "a request overtakes the DONE of the one before"
	exists i: Node do net.done[i] & is_queued(i) end;
cover "an upgrade has lost the race"
	exists i: Node do
		cache[i].pending.want = WRITE & cache[i].copy = SHARED & net.demand[i] = INV
	end;
cover "the queue is full" entry.queued = NODES;
cover "all read"
	forall i: Node do cache[i].copy = SHARED end;
