"""Streams in every kind of loop: asyncio, uvloop, a loop without file descriptors, threads, a
notebook's kernel; and at the end of each: cancelled, interrupted, forked, at the interpreter's exit."""

import asyncio
import random
import signal
import subprocess
import sys
import threading
import time

import pytest
import uvloop
from jupyter_client.manager import start_new_kernel

from kiteticker import Stream

INFY = 408065
PATIENCE_S = 60


class WithoutReaders(asyncio.SelectorEventLoop):
    """Like Windows' default."""

    def add_reader(self, fd, callback, *args):
        raise NotImplementedError


LOOPS = [asyncio.SelectorEventLoop, uvloop.new_event_loop, WithoutReaders]


def run(main, loop_factory=None):
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(asyncio.wait_for(main, PATIENCE_S))


def stream_of(server, **arguments):
    return Stream(server.api_key, server.access_token, {INFY: "ltp"}, root=server.root, **arguments)


async def until(stream, count):
    """Reads as many ticks."""
    ticks = 0
    async for batch in stream:
        ticks += len(batch)
        if ticks >= count:
            return ticks


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_a_stream_is_read_in_an_event_loop(loop_factory, kite_sim):
    async def main():
        async with stream_of(kite_sim) as stream:
            await until(stream, 2)
            orders, events = stream.orders(), stream.events()
            order = asyncio.create_task(anext(orders))
            for _ in range(50):
                kite_sim.tick([INFY])
                assert await until(stream, 1) == 1
            kite_sim.order({"order_id": "1"})
            assert await order == {"order_id": "1"}
            kite_sim.fault("reset")
            while (event := await anext(events)).name != "up":
                pass
            assert event.severity == "recovery"
        # What was received before is delivered, then the iteration ends.
        async for _ in stream:
            pass
        return [order async for order in orders]

    assert run(main(), loop_factory) == []


def test_a_stream_moves_from_loop_to_loop_and_to_a_thread(kite_sim):
    with stream_of(kite_sim) as stream:
        run(until(stream, 2))
        for loop_factory in LOOPS:
            kite_sim.tick([INFY])
            assert run(until(stream, 1), loop_factory) == 1
        found = []
        thread = threading.Thread(target=lambda: found.append(next(stream)))
        thread.start()
        kite_sim.tick([INFY])
        thread.join(PATIENCE_S)
        assert len(found[0]) == 1


def test_other_tasks_run_although_the_stream_never_waits(serve):
    """A task that is slower than the market has a batch whenever it asks for one."""

    async def main():
        turns = 0

        async def count():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        sim = serve("sim", "--rate", 1000)
        wanted = dict.fromkeys(range(256, 256 * 301, 256), "full")
        stream = Stream(sim.api_key, sim.access_token, wanted, root=sim.root, slow="block")
        async with stream:
            counting = asyncio.create_task(count())
            number = 0
            async for _ in stream:
                number += 1
                if number == 100:
                    break
                time.sleep(0.01)
            counting.cancel()
        return turns

    assert run(main()) >= 50


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_a_thousand_cancellations_lose_no_tick_and_leave_nothing_behind(loop_factory, kite_sim):
    chance = random.Random(1)

    async def main():
        async with stream_of(kite_sim) as stream:
            ticks = await until(stream, 2)
            loop = asyncio.get_running_loop()
            sent = ticks
            for number in range(1000):
                waiting = asyncio.ensure_future(anext(stream))
                for _ in range(chance.randrange(3)):
                    await asyncio.sleep(0)
                if chance.random() < 0.5:
                    kite_sim.tick([INFY])
                    sent += 1
                    for _ in range(chance.randrange(3)):
                        await asyncio.sleep(0)
                if number % 100 == 0:
                    await asyncio.sleep(0.001)
                waiting.cancel()
                try:
                    ticks += len(await waiting)
                except asyncio.CancelledError:
                    pass
                if loop_factory is asyncio.SelectorEventLoop:
                    assert not loop.remove_reader(stream._waited_for.fileno())
            while ticks < sent:
                ticks += len(await anext(stream))
            assert await _nothing_comes(stream)
            return sent - ticks

    assert run(main(), loop_factory) == 0


async def _nothing_comes(stream):
    try:
        await asyncio.wait_for(anext(stream), 0.05)
    except TimeoutError:
        return True
    return False


def test_one_task_at_a_time_may_wait(kite_sim):
    async def main():
        async with stream_of(kite_sim) as stream:
            await until(stream, 2)
            first = asyncio.create_task(anext(stream))
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="another thread or task is waiting"):
                await anext(stream)
            kite_sim.tick([INFY])
            assert len(await first) == 1

    run(main())


def test_a_coroutine_that_is_collected_in_a_closed_loop_is_silent(kite_sim, recwarn):
    stream = stream_of(kite_sim)
    loop = asyncio.SelectorEventLoop()
    task = loop.create_task(until(stream, 10))
    while not stream._is_waiting:
        loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    task._log_destroy_pending = False
    del task, loop
    stream.close()
    assert [str(warning.message) for warning in recwarn] == []


NOTEBOOK = """
import asyncio
from kiteticker import Stream
stream = Stream({api_key!r}, {access_token!r}, {{{INFY}: "ltp"}}, root={root!r})
""".replace("{INFY}", str(INFY))


def test_a_notebook_reads_a_stream(serve):
    """Top-level await, a loop of its own inside the kernel's, and the button to interrupt."""
    sim = serve("sim", "--rate", 50)
    manager, client = start_new_kernel(kernel_name="python3")
    try:

        def cell(source):
            reply, printed = None, []

            def on_output(message):
                content = message["content"]
                printed.append(content.get("text") or "\n".join(content.get("traceback", [])))

            reply = client.execute_interactive(source, timeout=PATIENCE_S, output_hook=on_output)
            return reply["content"]["status"], "".join(printed)

        arguments = {name: getattr(sim, name) for name in ("api_key", "access_token", "root")}
        assert cell(NOTEBOOK.format(**arguments)) == ("ok", "")
        assert cell("print(len(await anext(stream)) > 0)") == ("ok", "True\n")
        loop = """
async for batch in stream:
    print(batch[0].instrument_token)
    break
"""
        assert cell(loop) == ("ok", f"{INFY}\n")
        # A plain loop blocks the kernel's, as in any cell.
        assert cell("for batch in stream: break\nprint(batch[0].mode)") == ("ok", "ltp\n")
        nested = """
import nest_asyncio2
nest_asyncio2.apply()
async def main():
    async for batch in stream:
        return batch[0].mode
print(asyncio.run(main()))
"""
        assert cell(nested) == ("ok", "ltp\n")
        for endless in ("while True: next(stream)", "while True: await anext(stream)"):
            replied = threading.Event()

            def interrupt(replied=replied):
                # An interrupt that comes before the cell is ignored.
                while not replied.wait(0.5):
                    manager.interrupt_kernel()

            interrupting = threading.Thread(target=interrupt)
            interrupting.start()
            try:
                status, printed = cell(endless)
            finally:
                replied.set()
                interrupting.join()
            assert status == "error"
            assert "KeyboardInterrupt" in printed or "CancelledError" in printed
        assert cell("print((await anext(stream))[0].mode)") == ("ok", "ltp\n")
        assert cell("stream.close()\nasync for batch in stream: pass") == ("ok", "")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


PROGRAM = """
import asyncio, os, sys, threading
from kiteticker import Stream
stream = Stream("{key}", "{token}", {{408065: "ltp"}}, root="{root}")
next(stream)
print("open", flush=True)
{then}
"""


def started(server, then, *options):
    source = PROGRAM.format(
        key=server.api_key, token=server.access_token, root=server.root, then=then
    )
    process = subprocess.Popen(
        [sys.executable, *options, "-c", source],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "open\n", process.stderr.read()
    return process


def ended(process):
    """Returns what a process has printed since, and its status."""
    expiring = threading.Timer(PATIENCE_S, process.kill)
    expiring.start()
    # Not `communicate`, which does not know what `readline` has read ahead.
    out, errors = process.stdout.read(), process.stderr.read()
    code = process.wait()
    expiring.cancel()
    return out, errors, code


@pytest.mark.parametrize(
    "then",
    [
        "for batch in stream: pass",
        "async def main():\n    async for batch in stream: pass\nasyncio.run(main())",
    ],
)
def test_ctrl_c_ends_a_wait(then, kite_sim):
    process = started(kite_sim, then)
    # Until the program waits, the interrupt could come before the loop.
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors, code = ended(process)
    assert errors.splitlines()[-1] == "KeyboardInterrupt"
    assert code == -signal.SIGINT


@pytest.mark.parametrize(
    "then",
    [
        "",
        "threading.Thread(target=lambda: list(stream), daemon=True).start()",
        "asyncio.run(asyncio.sleep(0))\nmine = [stream]\nmine.append(mine)",
        "iterator = iter(stream.orders())\nstream.status()",
        "async def wait():\n"
        "    async for batch in stream: pass\n"
        "async def main():\n"
        "    waiting = asyncio.create_task(wait())\n"
        "    await asyncio.sleep(0.01)\n"
        "asyncio.run(main())",
    ],
)
def test_an_interpreter_with_an_open_stream_ends(then, kite_sim):
    process = started(kite_sim, then + "\nprint('end')", "-X", "dev", "-W", "error")
    assert ended(process) == ("end\n", "", 0)


def test_a_fork_leaves_the_sockets_to_the_parent(kite_sim):
    then = """
child = os.fork()
if child == 0:
    found = []
    for use in (lambda: next(stream), lambda: stream.subscribe({{256265: "ltp"}}), stream.events):
        try:
            use()
        except RuntimeError as error:
            found.append("before the process forked" in str(error))
    stream.close()
    own = Stream("{key}", "{token}", {{408065: "ltp"}}, root="{root}")
    print(found, next(own)[0].mode, flush=True)
    own.close()
    del stream, own
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
stream.subscribe({{256265: "ltp"}})
while all(tick.instrument_token != 256265 for tick in next(stream)): pass
print("parent")
"""
    then = then.format(key=kite_sim.api_key, token=kite_sim.access_token, root=kite_sim.root)
    # From Python 3.12 on, a fork with threads is a warning.
    process = started(kite_sim, then, "-W", "ignore")
    assert ended(process) == ("[True, True, True] quote\nparent\n", "", 0)
