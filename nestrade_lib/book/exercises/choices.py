"""Questions with one right choice: every wrong one has a hint of its own."""

from nestrade_lib.book.exercises.self_check import self_check, shown

RIGHT = "Right: "
CHOICES = {
    "gs-halved": {
        "a": "its window still covers the same positions, but count its weights again.",
        "b": "that is what halving one of its two widths does.",
        "c": RIGHT + "half as many channels come in, and half as many go out.",
        "d": "there is no third width: the window and the positions stay as they are.",
    },
    "gs-batch": {
        "a": "each image still passes through the same layers.",
        "b": "an epoch still contains every image once.",
        "c": RIGHT + "the same images, in half as many batches.",
        "d": "the layers do not depend on how many images come at a time.",
    },
    "rg-zero": {
        "a": "every unit with a price on it loses some of its length.",
        "b": "5 was taken from each weight. The group lasso takes it from the norm.",
        "c": RIGHT + "the norm is 5, and 5 is what the step takes.",
        "d": "the step never changes a group's direction, unless the group vanishes.",
    },
    "rg-late": {
        "a": "the length of a step is the product of the learning rate and c.",
        "b": RIGHT + "the product of learning rate and c stays as it was.",
        "c": "then each step takes twice the length.",
        "d": "the length of a step is proportional to c, not to its square.",
    },
    "so-masks": {
        "a": "a multiplication by zero is still a multiplication.",
        "b": "a multiplication by zero is still a multiplication.",
        "c": RIGHT
        + "zeros are multiplied like other numbers; only a cut removes work.",
        "d": "one of the two has smaller kernels.",
    },
    "so-flatten": {
        "a": "that order holds if all positions of one channel lie together.",
        "b": RIGHT
        + "the channels are the last axis, so they repeat at every position.",
        "c": "flattening keeps all 12 numbers.",
        "d": "flattening only changes the shape, it adds nothing.",
    },
    "tm-both": {
        "a": "a budget of MACs says nothing about parameters.",
        "b": RIGHT
        + "the network must meet both shares, so the run ends at the harder one.",
        "c": "shares of two different costs cannot be multiplied.",
        "d": "each share is a limit of its own, not a part of a sum.",
    },
    "tm-epoch": {
        "a": "a test set that has chosen the epoch is no longer unseen.",
        "b": "an average over epochs describes no network that you could use.",
        "c": "the first epoch describes a network that training then changed.",
        "d": RIGHT + "it was fixed in advance, so the test set has chosen nothing.",
    },
    "cp-masks": {
        "a": "a multiplication by zero takes as long as another one.",
        "b": RIGHT + "a row of zeros is packed into few bytes; nothing else shrinks.",
        "c": "masks set weights to zero and leave every layer its width.",
        "d": "it holds every weight as a number, zeros too, until it is packed.",
    },
    "cp-random": {
        "a": "the networks are small and accurate; only the scores have shown nothing.",
        "b": "with the same widths from scratch you would know; here they were not drawn.",
        "c": RIGHT + "what random channels reach, the scores have not earned.",
        "d": "there are many seeds already, and they do not favour the score.",
    },
    "dp-norms": {
        "a": "frozen or not, a norm costs the same in a file: it is folded away.",
        "b": RIGHT
        + "few samples give poor averages, and the weights were fitted to the old.",
        "c": "inference mode is about the averages that are used, not about the scales.",
        "d": "norms can be cut; their channels follow those of the layer before them.",
    },
    "dp-range": {
        "a": "int8 has no number for what is beyond its range.",
        "b": "the file is finished: nothing in it is measured again.",
        "c": RIGHT + "all that is beyond the range of the samples ends at its edge.",
        "d": "no error is raised: the answer is merely wrong.",
    },
    "ip-pace": {
        "a": "the device works 5 of how many milliseconds?",
        "b": RIGHT + "it works 5 of every 8 milliseconds.",
        "c": "that would be right if the two took turns.",
        "d": "with prefetching the slower of the two sets the pace.",
    },
    "ip-bottleneck": {
        "a": "one batch again and again needs no feeder, and is no faster.",
        "b": "a queue helps only where somebody waits for a batch.",
        "c": RIGHT + "without any feeder a step takes as long.",
        "d": "the step is what takes the time, not the data.",
    },
    "mg-linear": {
        "a": "that is the learning rate without any rule.",
        "b": "that is the square-root rule.",
        "c": RIGHT + "four times the batch, four times the learning rate.",
        "d": "the rule multiplies by the growth of the batch, not by its square.",
    },
    "mg-breaks": {
        "a": "a penalty on weights does not depend on the samples.",
        "b": RIGHT + "through it, samples influence each other.",
        "c": "its output for a sample depends on that sample alone.",
        "d": "momentum follows from the averaged gradient, which is the same.",
    },
    "mm-interval": {
        "a": "the interval grows with the square root of the time between failures.",
        "b": RIGHT
        + "a quarter of the time between failures, and the root of a quarter.",
        "c": "more machines fail more often, and a failure then costs more.",
        "d": "more failures ask for more checkpoints, not for fewer.",
    },
    "mm-moments": {
        "a": "nothing compares the moments with what they were.",
        "b": "Adam's next step depends on its moments.",
        "c": RIGHT + "without its memory Adam takes other steps, and says nothing.",
        "d": "the counters are in the checkpoint.",
    },
}


@self_check
def check_choice(question: str, choice: str) -> None:
    """Check the letter chosen for a question of the book.

    Parameters
    ----------
    question : str
        The question's name, as the chapter gives it.
    choice : str
        A letter.

    Examples
    --------
    >>> check_choice("gs-batch", "a")
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: each image still passes through the same layers.
    >>> check_choice("gs-batch", "c")
    Right: the same images, in half as many batches.
    """
    assert isinstance(question, str) and question in CHOICES, (
        f"There is no question {shown(question)}. The names are: {', '.join(CHOICES)}."
    )
    feedback = CHOICES[question]
    letter = choice.strip(" ()").lower() if isinstance(choice, str) else choice
    assert isinstance(letter, str) and letter in feedback, (
        f"Not yet: expected one of the letters {', '.join(feedback)}, got {shown(choice)}."
    )
    assert feedback[letter].startswith(RIGHT), f"Not yet: {feedback[letter]}"
    print(feedback[letter])
