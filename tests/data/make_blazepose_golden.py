"""Makes blazepose_golden.npz beside this file: outputs of Google's own interpreter, and a tiny TFLite file.

    python make_blazepose_golden.py FOLDER

FOLDER holds the two .tflite files of mediapipe 0.10.21 at any depth. Needs hrtk, ``ai-edge-litert`` 2.3.0 (the
interpreter), ``tflite`` 2.18.0 and ``flatbuffers`` 25.12.19 (the official writer of such files). The stored file is
from Python 3.11, numpy 2.4.6, one thread of an x86-64 processor with AVX-512.

Stored are, with the prefixes ``detector/`` and ``landmarks/``: ``images``, drawn people of hrtk's free stream as uint8
of half the resolution of the networks, which the tests enlarge by repeating pixels; and the outputs in float32, those
of maps and of the detector's candidates thinned out as in :data:`THINNED`. ``tiny/`` is a TFLite file with one dense
convolution, one block-sparse convolution in half precision and one depthwise convolution, beside their weights.
"""

import sys
from pathlib import Path

import cv2
import flatbuffers
import numpy as np
import scipy.sparse as sp
import tflite
from ai_edge_litert.interpreter import Interpreter

from hrtk.datasets.open_stream import OpenStream

# (name of the file, resolution, least value of the input, {output of the interpreter: (key, step along each axis)})
THINNED = {
    'detector': (
        'pose_detection.tflite',
        224,
        -1.0,
        {'Identity': ('values', (1, 7, 1)), 'Identity_1': ('logits', (1, 1, 1))},
    ),
    'landmarks': (
        'pose_landmark_full.tflite',
        256,
        0.0,
        {
            'Identity': ('landmarks', (1, 1)),
            'Identity_1': ('flag', (1, 1)),
            'Identity_2': ('mask', (1, 4, 4, 1)),
            'Identity_3': ('heatmap', (1, 4, 4, 1)),
            'Identity_4': ('world', (1, 1)),
        },
    ),
}


def people(side):
    """Two drawn people, one of each domain, (2, side, side, 3) uint8."""
    images = []
    for domain in ('studio', 'wild'):
        sequence = OpenStream(domain=domain, sequences=1, frames=1, seed=0)[0]
        image = np.asarray(sequence.frames[0])
        images.append(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA))
    return np.stack(images)


def outputs(path, inputs, thinned):
    """The interpreter's outputs for every input, by key."""
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    found = {}
    for image in inputs:
        interpreter.set_tensor(interpreter.get_input_details()[0]['index'], image[None])
        interpreter.invoke()
        for detail in interpreter.get_output_details():
            key, steps = thinned[detail['name']]
            value = interpreter.get_tensor(detail['index'])
            found.setdefault(key, []).append(value[tuple(slice(None, None, n) for n in steps)][0])
    return {key: np.stack(values) for key, values in found.items()}


class Writer:
    """Writes the tables of schema.fbs with Google's builder."""

    def __init__(self):
        self.builder = flatbuffers.Builder(0)

    def table(self, kind, **fields):
        """A table; tables and vectors among its fields are offsets."""
        getattr(tflite, f'{kind}Start')(self.builder)
        for name, value in fields.items():
            getattr(tflite, f'{kind}Add{name}')(self.builder, value)
        return getattr(tflite, f'{kind}End')(self.builder)

    def array(self, values, dtype):
        return self.builder.CreateNumpyVector(np.asarray(values, dtype))

    def offsets(self, offsets):
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return self.builder.EndVector()

    def buffer(self, values=None):
        if values is None:
            return self.table('Buffer')
        return self.table('Buffer', Data=self.array(np.frombuffer(values.tobytes(), 'u1'), 'u1'))

    def tensor(self, shape, buffer, kind=0, sparsity=None):
        fields = dict(Shape=self.array(shape, 'i4'), Type=kind, Buffer=buffer)
        if sparsity is not None:
            fields['Sparsity'] = sparsity
        return self.table('Tensor', **fields)

    def operator(self, code, inputs, output):
        fields = dict(Inputs=self.array(inputs, 'i4'), Outputs=self.array([output], 'i4'))
        return self.table('Operator', OpcodeIndex=code, **fields)

    def sparsity(self, kernel):
        """Rows of a kernel (outputs, 1, 1, inputs) in blocks of four outputs, as scipy stores them, and its values."""
        blocks = sp.bsr_matrix(kernel[:, 0, 0].astype(np.float32), blocksize=(4, 1))
        levels = [self.table('DimensionMetadata', Format=0, DenseSize=blocks.shape[0] // 4)]
        levels += [self.table('DimensionMetadata', Format=0, DenseSize=1) for _ in range(2)]
        vectors = []
        for values in (blocks.indptr, blocks.indices):
            vector = self.array(values, 'u1')
            vectors.append(self.table('Uint8Vector', Values=vector))
        levels.append(
            self.table(
                'DimensionMetadata',
                Format=1,
                ArraySegmentsType=3,
                ArraySegments=vectors[0],
                ArrayIndicesType=3,
                ArrayIndices=vectors[1],
            )
        )
        levels.append(self.table('DimensionMetadata', Format=0, DenseSize=4))
        table = self.table(
            'SparsityParameters',
            TraversalOrder=self.array([0, 1, 2, 3, 4], 'i4'),
            BlockMap=self.array([0], 'i4'),
            DimMetadata=self.offsets(levels),
        )
        return table, blocks.data.reshape(-1).astype(np.float16)


def tiny():
    """A TFLite file (bytes as uint8), and kernels and biases in torch's layout."""
    random = np.random.default_rng(0)
    dense = random.normal(size=(5, 3, 3, 2)).astype(np.float32)
    sparse = random.normal(size=(8, 1, 1, 5)).astype(np.float16)
    sparse *= np.kron(random.random((2, 5)) < 0.5, np.ones((4, 1)))[:, None, None].astype(
        np.float16
    )
    depthwise = random.normal(size=(1, 3, 3, 8)).astype(np.float16)
    biases = [random.normal(size=size).astype(np.float32) for size in (5, 8, 8)]

    writer = Writer()
    sparsity, stored = writer.sparsity(sparse)
    constants = [dense, biases[0], stored, biases[1], depthwise, biases[2]]
    buffers = [writer.buffer(), *[writer.buffer(value) for value in constants]]
    shapes = [(5, 3, 3, 2), (5,), (8, 1, 1, 5), (8,), (1, 3, 3, 8), (8,)]
    tensors = []
    for index, (shape, kind) in enumerate(zip(shapes, (0, 0, 1, 0, 1, 0))):
        tensors.append(writer.tensor(shape, index + 1, kind, sparsity if index == 2 else None))
    # 6: input, 7 to 9: computed maps, 10: sparse made dense in half, 11 in full precision, 12: depthwise in full.
    tensors += [writer.tensor((1, 6, 6, size), 0) for size in (2, 5, 8, 8)]
    tensors += [writer.tensor((8, 1, 1, 5), 0, 1), writer.tensor((8, 1, 1, 5), 0)]
    tensors.append(writer.tensor((1, 3, 3, 8), 0))
    steps = [(2, [2], 10), (1, [10], 11), (0, [6, 0, 1], 7), (0, [7, 11, 3], 8)]
    steps += [(1, [4], 12), (3, [8, 12, 5], 9)]
    operators = [writer.operator(*step) for step in steps]
    codes = [
        writer.table('OperatorCode', DeprecatedBuiltinCode=min(code, 127), BuiltinCode=code)
        for code in (3, 6, 124, 4)
    ]
    graph = writer.table(
        'SubGraph', Tensors=writer.offsets(tensors), Operators=writer.offsets(operators)
    )
    model = writer.table(
        'Model',
        Version=3,
        OperatorCodes=writer.offsets(codes),
        Subgraphs=writer.offsets([graph]),
        Buffers=writer.offsets(buffers),
    )
    writer.builder.Finish(model, b'TFL3')
    kernels = [dense.transpose(0, 3, 1, 2), sparse.transpose(0, 3, 1, 2)]
    kernels.append(depthwise.transpose(3, 0, 1, 2))
    return np.frombuffer(bytes(writer.builder.Output()), np.uint8), kernels, biases


def main():
    stored = {}
    for name, (file, side, least, thinned) in THINNED.items():
        path = next(Path(sys.argv[1]).rglob(file))
        images = people(side // 2)
        inputs = images.repeat(2, axis=1).repeat(2, axis=2).astype(np.float32) / 255
        stored[f'{name}/images'] = images
        for key, value in outputs(path, inputs * (1 - least) + least, thinned).items():
            stored[f'{name}/{key}'] = value
    content, kernels, biases = tiny()
    stored['tiny/file'] = content
    for index, (kernel, bias) in enumerate(zip(kernels, biases)):
        stored[f'tiny/kernel{index}'] = kernel
        stored[f'tiny/bias{index}'] = bias
    np.savez_compressed(Path(__file__).with_name('blazepose_golden.npz'), **stored)


if __name__ == '__main__':
    main()
