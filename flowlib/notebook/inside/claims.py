"""The claims of the course that a look rests on: what a number of this kind was shown to mean, and where."""

CLAIMS = {
    "C0.2": "At every whole depth a post-norm river lies on S₁ (mean 0, spread 1), but for what ε leaves.",
    "C0.3": "Two orders of the substeps differ by O(Δt): in the limit of small steps the order is gone.",
    "C4.1": "Layer norm (ε = 0) is the nearest point of S₁.",
    "C4.6": "RMS norm is the nearest point of the sphere |u| = √d.",
    "C4.9": "In pre-norm the spread of a token grows with depth; only post-norm keeps it where it is set.",
    "C6.7": "Δt = 1 is not small: one step of a trained layer misses its own refined flow by a large share of the way.",
    "C7.2": "A model trained at one number of steps is a model for that number: refined, it says other things.",
    "C9.1": "Term budgets sum to the whole.",
    "C9.2": "A budget is not a counterfactual: what a term pushed is not what is missed without it.",
    "C9.3": "Refuted: “the darkest entry says which token the prediction was based on”.",
    "C9.6": "Whether tokens gather with depth is a matter of the model: measured, not assumed.",
    "C11.1": "Known architectures are splittings of the equation, and end where the models end.",
}


def name_chapter(claim: str) -> int:
    """The number of the chapter that a claim stands in."""
    return int(claim[1:].split(".")[0])
