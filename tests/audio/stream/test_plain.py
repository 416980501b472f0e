"""Our own protocol over a real socket, with the `websockets` client."""

from tests.audio.stream.made import Ears, finals, frames, house, rest, speech, until


async def test_what_is_said_comes_back_in_utterances_with_times() -> None:
    """Two utterances, each of which grows while it is spoken; all words, once, in order."""
    said = speech(0.6, 12, 1.0, 9, 1.0)
    async with house(Ears(said)) as here, here.connect() as socket:
        ready = (await until(socket, "ready"))[-1]
        assert (ready["sample_rate"], ready["resumed"], ready["sequence"]) == (16000, False, 0)
        for frame in frames(said.pcm):
            await socket.send(frame)
        await socket.send('{"type": "stop"}')
        events = await rest(socket)
    assert finals(events) == said.texts
    assert socket.close_code == 1000
    told = [one for one in events if one["type"] == "final"]
    assert [one["sequence"] for one in told] == [1, 2]
    for one, word in zip([w for f in told for w in f["words"]], said.words, strict=True):
        assert abs(one["start"] - word.start) < 0.02
    assert events[-1]["type"] == "closed"
