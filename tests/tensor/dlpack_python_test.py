"""Tensors go to NumPy and PyTorch and come back through DLPack, without a copy.

usage: dlpack_python_test.py COMPILER. Exit status 77: neither package is installed.
"""
import ctypes
import importlib
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = r"""
#include "tandem/tensor/dlpack.hpp"
#include "tandem/tensor/factory.hpp"
using namespace tandem;
static Tensor<float> x;
extern "C" void* give() {
  x = arange<float>(12).reshape({3, 4});
  return to_dlpack(x.transpose(0, 1));
}
extern "C" void* give_versioned() { return to_dlpack_versioned(x); }
extern "C" float at(long i, long j) { return x.at({i, j}); }
extern "C" double take_sum(void* managed) {
  const Tensor<double> taken = from_dlpack<double>(static_cast<dlpack::ManagedTensor*>(managed));
  double sum = 0;
  for (const double v : taken.to_vector()) sum = 2 * sum + v;
  taken.set({0, 0}, -1);
  return sum;
}
"""


def package(name):
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


numpy, torch = package("numpy"), package("torch")
if numpy is None and torch is None:
    print("skipped: neither NumPy nor PyTorch is installed")
    sys.exit(77)

with tempfile.TemporaryDirectory() as scratch:
    source, library = pathlib.Path(scratch) / "give.cpp", pathlib.Path(scratch) / "give.so"
    source.write_text(SOURCE)
    subprocess.run([sys.argv[1], "-std=c++20", "-O1", "-shared", "-fPIC", "-I", ROOT / "include", source, "-o", library,
                    "-pthread"], check=True)
    ours = ctypes.CDLL(str(library))
    ours.give.restype = ours.give_versioned.restype = ctypes.c_void_p
    ours.at.restype, ours.at.argtypes = ctypes.c_float, [ctypes.c_long, ctypes.c_long]
    ours.take_sum.restype, ours.take_sum.argtypes = ctypes.c_double, [ctypes.c_void_p]
    python = ctypes.pythonapi
    python.PyCapsule_New.restype = ctypes.py_object
    python.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    python.PyCapsule_GetPointer.restype = ctypes.c_void_p
    python.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    python.PyCapsule_SetName.argtypes = [ctypes.py_object, ctypes.c_char_p]

    class Exporter:  # what numpy.from_dlpack asks for
        def __dlpack__(self, **_):
            return python.PyCapsule_New(ours.give(), b"dltensor", None)

        def __dlpack_device__(self):
            return (1, 0)

    expected = [[float(4 * i + j) for i in range(3)] for j in range(4)]
    if numpy is not None:
        theirs = numpy.from_dlpack(Exporter())
        assert theirs.dtype == numpy.float32 and theirs.tolist() == expected, theirs
        del theirs
    if torch is not None:
        theirs = torch.utils.dlpack.from_dlpack(python.PyCapsule_New(ours.give(), b"dltensor", None))
        assert theirs.dtype == torch.float32 and theirs.tolist() == expected, theirs
        theirs[3, 2] = 99
        assert ours.at(2, 3) == 99
        # And back: a transposed view of theirs.
        given = torch.arange(6, dtype=torch.float64).reshape(2, 3)
        capsule = torch.utils.dlpack.to_dlpack(given.t())
        pointer = python.PyCapsule_GetPointer(capsule, b"dltensor")
        used = b"used_dltensor"
        python.PyCapsule_SetName(capsule, used)
        sum_ = 0.0
        for value in given.t().flatten().tolist():
            sum_ = 2 * sum_ + value
        assert ours.take_sum(pointer) == sum_
        assert given[0, 0] == -1
print("DLPack:", ", ".join(p.__name__ + " " + p.__version__ for p in (numpy, torch) if p is not None))
