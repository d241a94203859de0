"""Files of kinds that are not read, known by their first bytes: what they are, and what to do about it."""

import zlib
from pathlib import Path

from csdip_jax.types import InputError

MOST_PIXELS = 178_956_970
"""Of a picture, 13,377 x 13,377: where Pillow begins to take a file for a decompression bomb."""

_HEAD = 4096  # bytes, which hold every signature, also of a compressed file
_DICOM = ("a DICOM file", "save its pixels: numpy.save('a.npy', pydicom.dcmread('a.dcm').pixel_array)")
_NIFTI = ("a NIfTI volume", "save one slice: numpy.save('a.npy', nibabel.load('a.nii').get_fdata()[:, :, k])")
_HDF5 = ("an HDF5 file", "save the array wanted: numpy.save('a.npy', h5py.File('a.h5')['name'][()])")
_MATLAB73 = (
    "a MATLAB 7.3 file",
    "save it with the option -v7, or the array wanted as .npy by h5py if it is above 2 GB",
)
_JPEG2000 = ("a JPEG 2000 file", "save it as PNG or TIFF")
_PICTURE = "save it as PNG or TIFF"
_SIGNATURES = (  # offset, bytes there, (what such a file is, remedy)
    (128, b"DICM", _DICOM),
    (0, b"\x02\0\0\0UL\x04\0", _DICOM),  # without its preamble, a file begins with one of these
    (0, b"\x08\0\0\0", _DICOM),
    (0, b"\x08\0\x05\0", _DICOM),
    (0, b"\x08\0\x08\0", _DICOM),
    (344, b"n+1\0", _NIFTI),
    (344, b"ni1\0", _NIFTI),
    (4, b"n+2\0", _NIFTI),
    (4, b"ni2\0", _NIFTI),
    (0, b"MATLAB 7.3", _MATLAB73),
    *((offset, b"\x89HDF\r\n\x1a\n", _HDF5) for offset in (0, 512, 1024, 2048)),
    (0, b"MATLAB 5.0", ("a MATLAB file", "save the picture by imwrite(x, 'a.png')")),
    (0, b"PK\3\4", ("a zip archive, as .npz is", "save the picture alone, as .npy")),
    (0, b"SIMPLE  =", ("a FITS file", "save its pixels: numpy.save('a.npy', astropy.io.fits.getdata('a.fits'))")),
    (0, b"NRRD", ("an NRRD volume", "save one slice as .npy")),
    (0, b"GIF8", ("a GIF", _PICTURE)),
    (0, b"8BPS", ("a Photoshop file", _PICTURE)),
    (0, b"v/1\1", ("an OpenEXR file", "save it as TIFF")),
    (0, b"\0\0\0\x0cjP  ", _JPEG2000),
    (0, b"\xff\x4f\xff\x51", _JPEG2000),
    (4, b"ftyp", ("a HEIC, AVIF or video file", _PICTURE)),
    (0, b"%PDF", ("a PDF", _PICTURE)),
    (0, b"\0\5\x16\7", ("what macOS notes about a file", "give the file of the same name without ._")),
    (0, b"version https://git-lfs", ("a Git LFS pointer", "get the file itself by `git lfs pull`")),
    (0, b"<", ("a page of the web or an SVG drawing", _PICTURE)),
)


def is_hidden(path: Path) -> bool:
    """Hidden files, which are no data: macOS' ._a.png beside a.png and .DS_Store, and what editors leave."""
    return path.name.startswith(".")


def first_bytes(path: Path) -> bytes:
    """Those that tell what a file is.

    Raises:
        InputError: not a file, such as a folder or a pipe, which has no first bytes to come back to.
        OSError: not readable.
    """
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: a folder, pipe or device, not a file; name a file")
    with path.open("rb") as file:
        return file.read(_HEAD)


def foreign_kind(head: bytes) -> str | None:
    """What a file with these `first_bytes` is, and the remedy, where its kind is known and no picture is read of it."""
    compressed = head.startswith(b"\x1f\x8b")
    if compressed:
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, _HEAD)
        except zlib.error:
            head = b""
    for offset, signature, (what, remedy) in _SIGNATURES:
        if head.startswith(signature, offset):
            return f"{what}; {remedy}"
    return "a gzip archive; unpack it first" if compressed else None


def require_pixels(count: int, path: Path) -> None:
    """Refuses a picture whose header says so many pixels, before memory is taken for them."""
    if count > MOST_PIXELS:
        raise too_many_pixels(f"{count} pixels", path)


def too_many_pixels(told: str, path: Path) -> InputError:
    """The refusal of a picture that has as many as is told."""
    return InputError(f"{path}: says that it has {told}; at most {MOST_PIXELS}: cut or shrink it first")


def refuse_many(pictures: int, path: Path) -> None:
    """Raises InputError for a file of several pictures."""
    if pictures > 1:
        raise InputError(f"{path}: holds {pictures} pictures; save the one wanted as a file of its own")
