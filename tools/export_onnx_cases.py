#!/usr/bin/env python3
"""Writes the onnx package's own backend node tests to files, for tests/conformance/onnx_cases.cpp.

    python tools/export_onnx_cases.py FOLDER            (needs onnx)

FOLDER/cases.txt has a line a case: name, relative tolerance, absolute tolerance. FOLDER/NAME holds model.onnx and, for
each data set N, test_data_set_N/input_K.pb and output_K.pb. A folder that this onnx version filled is left as it is.
"""
import sys
import warnings
from pathlib import Path

import onnx
from onnx import TensorProto, numpy_helper
from onnx.backend.test.case.node import collect_testcases

warnings.filterwarnings("ignore")


def as_message(value, info):
    """The protobuf message of one input or output, by the kind its model declares."""
    kind = info.type.WhichOneof("value")
    if isinstance(value, TensorProto):
        return value
    make = {"sequence_type": numpy_helper.from_list, "optional_type": numpy_helper.from_optional, "map_type": numpy_helper.from_dict}
    return make.get(kind, numpy_helper.from_array)(value, info.name)


def write_case(case, folder):
    folder.mkdir()
    (folder / "model.onnx").write_bytes(case.model.SerializeToString())
    for number, (inputs, outputs) in enumerate(case.data_sets):
        data = folder / f"test_data_set_{number}"
        data.mkdir()
        for prefix, values, infos in (("input", inputs, case.model.graph.input), ("output", outputs, case.model.graph.output)):
            for k, (value, info) in enumerate(zip(values, infos, strict=True)):
                (data / f"{prefix}_{k}.pb").write_bytes(as_message(value, info).SerializeToString())


def main():
    folder = Path(sys.argv[1])
    stamp = folder / "cases.txt"  # written last: a folder without it is not complete
    if stamp.exists():
        return
    if folder.exists():
        sys.exit(f"{folder} is there and not complete: remove it first")
    folder.mkdir(parents=True)
    cases = sorted(collect_testcases(None), key=lambda case: case.name)
    for case in cases:
        write_case(case, folder / case.name)
    stamp.write_text("".join(f"{case.name} {case.rtol:g} {case.atol:g}\n" for case in cases))
    print(f"{len(cases)} cases of onnx {onnx.__version__} in {folder}", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main()
