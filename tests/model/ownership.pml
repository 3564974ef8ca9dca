/* Who owns the task, when leaders, leases and workers come and go in any order?
 *
 * One task, two workers, two schedulers, and an etcd whose transactions are atomic. Every statement may be
 * followed by any other process's, for as long as it likes: a pause is nothing but that. Time is an order of
 * events: a worker's deadline passes (`believes`) before its lease may end, since it counts from the send.
 *
 * EXCLUSIVE: the task has on_disconnect stop. Each of the switches NO_FENCE, NO_LEADER_COMPARE, TELL_FIRST,
 * NO_PROOF_WAIT, FROM_RECEIPT, NO_READ_AFTER_RENEW and ANY_SESSION takes one guard away; spin then has to find
 * a counterexample.
 */

#define NOBODY 9
#ifndef LOSSES
#define LOSSES 2
#endif
#define ATTEMPTS (LOSSES + 1)
#ifndef LEADERSHIPS
#define LEADERSHIPS 2
#endif
#define SESSIONS 2

/* The guards, each of which a switch takes away. */
#ifdef NO_LEADER_COMPARE
#define LEADS true
#else
#define LEADS (leader == me && epoch == mine)
#endif
#ifdef NO_FENCE
#define NEWEST(a) true
#else
#define NEWEST(a) (a == m_attempt)
#endif
#ifdef ANY_SESSION
#define PRESENT(s) true
#else
#define PRESENT(s) (s == session[me])
#endif
#ifdef NO_READ_AFTER_RENEW
#define RENEWED !lapsed[me]     /* the lease may outlive `live` */
#else
#define RENEWED live[me]
#endif
#ifdef FROM_RECEIPT
#define LAPSED(w) true
#else
#define LAPSED(w) !believes[w]
#endif
#if defined(EXCLUSIVE) && !defined(NO_PROOF_WAIT)
#define SAFE(w) !believes[w]   /* its warden has killed it: TTL + margin have passed since the proof */
#else
#define SAFE(w) true
#endif
#ifdef EXCLUSIVE
#define NO_OVERLAP assert(running[1 - me] == 0)   /* I10 */
#define KILL running[me] = 0
#else
#define NO_OVERLAP skip
#define KILL skip
#endif
#ifdef TELL_FIRST
#define BEFORE_COMMIT true
#else
#define BEFORE_COMMIT false
#endif

/* What lies in etcd. */
byte leader = NOBODY;        /* the key `leader` */
byte epoch = 0;              /* of the key `commit`: the chain */
byte attempt = 0;            /* the task's record ... */
byte owner = NOBODY;
bool open = false;
byte accepted = 0;           /* the attempt whose result was accepted; 0: none */
bool live[2] = true;         /* workers/<w>/live */

/* What workers and their wardens know and do. */
bool believes[2] = true;     /* the deadline of the lease lies ahead */
bool lapsed[2] = false;      /* the lease has ended by itself, and not because `live` was deleted */
byte session[2] = 1;
byte running[2] = 0;         /* the attempt that is executed */
byte finished[2] = 0;        /* a result in the outbox */
byte executed[ATTEMPTS + 1] = 0;

chan starts0 = [1] of { byte, byte };    /* attempt, session */
chan starts1 = [1] of { byte, byte };
chan results0 = [1] of { byte };         /* to scheduler 0, and to scheduler 1 */
chan results1 = [1] of { byte };

/* A leadership is over: its memory is dropped. (Variables that nobody reads any more are set to 0 everywhere, so
 * that states which differ in nothing else are one.) */
inline forget() {
    leads = false; mine = 0; m_attempt = 0; m_owner = 0; m_open = false; m_accepted = 0; told = 0
}

/* Commit the memory of a leadership, or learn that it is over and drop it. */
inline commit() {
    atomic {
        if
        :: LEADS ->
            assert(m_attempt >= attempt);                       /* I9: attempts only grow */
            assert(accepted == 0 || m_accepted == accepted);    /* I1, I3: the first result stands */
            assert(m_accepted == 0 || m_accepted == m_attempt); /* only the newest attempt's counts */
            attempt = m_attempt; owner = m_owner; open = m_open; accepted = m_accepted
        :: else -> forget()
        fi
    }
}

inline tell(w) {
    atomic {
        if
        :: w == 0 && len(starts0) < 1 -> starts0!m_attempt, told
        :: w == 1 && len(starts1) < 1 -> starts1!m_attempt, told
        :: else
        fi;
        told = 0
    }
}

inline take(result) {
    if
    :: m_accepted == 0 && NEWEST(result) ->
        m_accepted = result; result = 0; m_open = false;
        commit()
    :: else -> result = 0
    fi
}

byte leaderships = 0;
byte losses = 0;

proctype Scheduler(byte me) {
    byte mine, m_attempt, m_owner, m_accepted, told, result;
    bool m_open, leads = false;
end:
    do
    :: atomic {
           !leads && leader == NOBODY && leaderships < LEADERSHIPS ->
           leaderships++; epoch++; leader = me; mine = epoch; leads = true;
           m_attempt = attempt; m_owner = owner; m_open = open; m_accepted = accepted
       }
    :: leads && m_accepted == 0 && !m_open && m_attempt < ATTEMPTS ->
       atomic {
           if
           :: live[0] -> m_owner = 0
           :: live[1] -> m_owner = 1
           :: else -> goto end
           fi;
           m_attempt++; m_open = true; told = session[m_owner]
       };
       if
       :: BEFORE_COMMIT -> tell(m_owner); commit()
       :: else ->
           commit();
           if
           :: leads -> tell(m_owner)
           :: else -> told = 0
           fi
       fi
    :: atomic { leads && me == 0 && len(results0) > 0 -> results0?result }; take(result)
    :: atomic { leads && me == 1 && len(results1) > 0 -> results1?result }; take(result)
       /* Early loss: the stream was reset, `live` is deleted by a guarded commit. */
    :: atomic {
           leads && m_open && losses < LOSSES && leader == me && epoch == mine && live[m_owner] ->
           live[m_owner] = false
       }
       /* Loss: a linearizable read shows no `live`. */
    :: leads && m_open && losses < LOSSES && !live[m_owner] && SAFE(m_owner) ->
       losses++; m_open = false;
       commit()
    od
}

inline begin(a, s) {
    if
    :: believes[me] && PRESENT(s) ->
        running[me] = a; executed[a]++;
        assert(executed[a] == 1);    /* I4: a fence is executed at most once ... */
        assert(!lapsed[me]);         /* ... and not after the lease's end */
        assert(attempt >= a);        /* it was committed before anybody was told */
        NO_OVERLAP
    :: else
    fi;
    a = 0; s = 0
}

proctype Worker(byte me) {
    byte a, s;
end:
    do
    :: atomic { me == 0 && len(starts0) > 0 -> starts0?a, s; begin(a, s) }
    :: atomic { me == 1 && len(starts1) > 0 -> starts1?a, s; begin(a, s) }
    :: atomic { running[me] != 0 -> finished[me] = running[me]; running[me] = 0 }
       /* A result is repeated until it is answered, to whoever the agent believes to lead. */
    :: atomic { finished[me] != 0 && len(results0) < 1 && accepted == 0 -> results0!finished[me] }
    :: atomic { finished[me] != 0 && len(results1) < 1 && accepted == 0 -> results1!finished[me] }
       /* The deadline passes; the warden kills what may not outlive it, whatever the agent does. */
    :: atomic { believes[me] -> believes[me] = false; KILL }
       /* A beat: the lease is renewed, then a read shows `live`. */
    :: atomic { !believes[me] && RENEWED -> believes[me] = true }
       /* Hello: a new session, once the old one is over and its attempt is given up. */
    :: atomic {
           !live[me] && !believes[me] && session[me] < SESSIONS && !(open && owner == me) ->
           session[me]++; live[me] = true; lapsed[me] = false; believes[me] = true; running[me] = 0
       }
    od
}

/* Leases end. */
proctype Etcd() {
end:
    do
    :: atomic { leader != NOBODY && leaderships < LEADERSHIPS -> leader = NOBODY }
    :: atomic { live[0] && LAPSED(0) -> live[0] = false; lapsed[0] = true }
    :: atomic { live[1] && LAPSED(1) -> live[1] = false; lapsed[1] = true }
    od
}

init {
    atomic {
        run Scheduler(0); run Scheduler(1); run Worker(0); run Worker(1); run Etcd()
    }
}
