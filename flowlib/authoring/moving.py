"""Files put in place of older ones in a folder that has others, too."""

from pathlib import Path

from flowlib.files import rename


def find_obstacle(place: Path, files: list[Path]) -> Path | None:
    """What stands where `files`, paths below `place`, must go, and is not what they may replace; None if nothing does.

    A file replaces a file, and lies in folders. Below `place` no link is replaced, and none is followed.
    """
    for file in files:
        folders = [place / parent for parent in file.parents]
        for path, right in [*((folder, Path.is_dir) for folder in reversed(folders)), (place / file, Path.is_file)]:
            if (path.is_symlink() and path != place) or (path.exists() and not right(path)):
                return path
    return None


def put_in_place(made: Path, place: Path) -> None:
    """Move the files of a folder into another one, which may have older ones; what else lies there stays.

    Each file is the old one or the new one at every moment. Raises: ValueError, before anything is moved, where
    something else stands in the way.
    """
    files = sorted(file.relative_to(made) for file in made.rglob("*") if not file.is_dir())
    if obstacle := find_obstacle(place, files):
        what = "a link" if obstacle.is_symlink() else "a file" if obstacle.is_file() else "no file"
        raise ValueError(
            f"{obstacle} is {what}, and is in the way of what is written there; move it away, and try again"
        )
    for file in files:
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        rename(made / file, place / file)
