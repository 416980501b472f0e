"""What is said in the sounds of these tests, and by whom.

Written for these tests and for nothing else: choose no threshold by listening to it. No digits, no
names, spelling that is the same on both sides of the ocean; what an error rate counts shall be what
was misheard.
"""

from dataclasses import dataclass

# Two women and two men.
ANNE, BEN, CLARA, DAVID = "af_bella", "am_fenrir", "bf_emma", "bm_george"


@dataclass(frozen=True, slots=True)
class Line:
    """`voice` says `text` in one go."""

    voice: str
    text: str


MEETING = (
    Line(ANNE, "Good morning everybody. Before we start, has the new heating been switched on?"),
    Line(BEN, "Yes, since last night. The kitchen is warm, but the upper floor is still cold."),
    Line(CLARA, "Somebody should look at the valves. I heard the pipes knock all morning."),
    Line(DAVID, "I can do that after lunch, if nobody needs the ladder until then."),
    Line(ANNE, "Thank you. Now to the garden. Who wants to talk about the apple trees?"),
    Line(CLARA, "They carry more fruit than last year, and the branches begin to bend."),
    Line(BEN, "Then we need poles to hold them up before the next storm comes in."),
    Line(DAVID, "There is timber behind the barn that nobody has used for a long time."),
    Line(BEN, "Most of it is rotten. I would rather buy a few strong poles in town."),
    Line(ANNE, "Please ask for the price first, because the money for this season is short."),
    Line(CLARA, "My brother works at the saw mill. He may give us something for free."),
    Line(DAVID, "That would be wonderful. Tell him we pay with cider in the autumn."),
    Line(ANNE, "What about the school children who come to visit us on Thursday?"),
    Line(DAVID, "They want to see the horses and learn how bread is made in a stone oven."),
    Line(CLARA, "Then the oven must be lit early, or the bread will never be ready by noon."),
    Line(BEN, "I will light the fire before breakfast and carry the water from the well."),
    Line(ANNE, "Remember that some of the children must not eat nuts or drink milk."),
    Line(CLARA, "The teacher sent a list. It hangs on the wall beside the back door."),
    Line(DAVID, "Could we also show them the bees, or is that too dangerous for them?"),
    Line(BEN, "With the window closed it is safe. They can watch through the glass."),
    Line(ANNE, "Very well, that is everything for today. Thank you all for coming."),
)
"""Four people, in turn; about two minutes."""

PAIR = tuple(line for line in MEETING if line.voice in {ANNE, DAVID})
"""Two of them."""

FAR = Line(
    BEN,
    "The river has risen again during the night, and the lower meadow is under water. "
    "We moved the sheep to the hill before it became dark, but the fence near the bridge is gone. "
    "The farmer on the other side lost a whole field of potatoes. "
    "If the rain goes on like this, the road to the village will be closed tomorrow. "
    "Please bring enough flour and candles for the rest of the week. "
    "The doctor has a boat and will visit the old couple in the mill every morning. "
    "Our cellar is still dry, because we dug the new ditch last summer. "
    "Call me again when the letter from the council has arrived.",
)
"""What comes out of the loudspeaker: 114 words."""

NEAR = (
    Line(CLARA, "I will pack the flour tonight and bring the candles with the early bus."),
    Line(CLARA, "The letter came this morning. They promise to repair the bridge before winter."),
    Line(CLARA, "My neighbor says that the water in our street is falling slowly."),
    Line(CLARA, "Shall I also look for the warm coats that you left in the attic?"),
    Line(CLARA, "The cat sleeps on the stove all day and does not care about the weather."),
    Line(CLARA, "Tell the children that I have found their book about the stars."),
)
"""What is said into the microphone."""
