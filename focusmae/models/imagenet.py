"""ImageNet's class names, which timm brings: synset order, as all its classifiers and MAE's answer in."""

from collections import Counter

from timm.data import ImageNetInfo, infer_imagenet_subset


def class_names(count: int) -> list[str] | None:
    """What people call the ``count`` classes of an ImageNet; None if no ImageNet has that many.

    Two classes that share a name ("crane", the bird and the machine) are told apart by their definitions.
    """
    subset = infer_imagenet_subset({"num_classes": count})
    if subset is None:
        return None
    info = ImageNetInfo(subset)
    names, detailed = info.label_descriptions(), info.label_descriptions(detailed=True)
    shared = Counter(names)
    return [long if shared[short] > 1 else short for short, long in zip(names, detailed, strict=True)]
