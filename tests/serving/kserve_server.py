"""KServe's own gRPC service around the model.onnx of a bundle, on the loopback interface (its SDK listens on all). Run by servers.py."""

import asyncio
import json
import sys
from pathlib import Path

import onnxruntime as ort
from grpc import aio
from kserve import InferInput, InferOutput, InferRequest, InferResponse, Model, ModelRepository
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc
from kserve.protocol.grpc.interceptors import ExceptionToStatusInterceptor
from kserve.protocol.grpc.servicer import InferenceServicer
from kserve.protocol.model_repository_extension import ModelRepositoryExtension

WORDS = {"float32": "FP32", "uint8": "UINT8"}


class Served(Model):
    def __init__(self, bundle: Path) -> None:
        self.contract = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))["contract"]
        super().__init__(self.contract["name"])
        self.session = ort.InferenceSession(str(bundle / "model.onnx"), providers=["CPUExecutionProvider"])
        self.ready = True

    async def get_input_types(self) -> list[dict]:
        return [self._told(self.contract["input"])]

    async def get_output_types(self) -> list[dict]:
        return [self._told(value) for value in self.contract["outputs"]]

    @staticmethod
    def _told(value: dict) -> dict:
        shape = [side if isinstance(side, int) else -1 for side in value["shape"]]
        return {"name": value["name"], "datatype": WORDS[value["dtype"]], "shape": shape}

    def predict(self, payload: InferRequest, headers: dict | None = None, response_headers: dict | None = None) -> InferResponse:
        feed = {value.name: self._array(value) for value in payload.inputs}
        found = []
        for name, values in zip(self.session.get_outputs(), self.session.run(None, feed), strict=True):
            output = InferOutput(name.name, list(values.shape), WORDS[str(values.dtype)])
            output.set_data_from_numpy(values)
            found.append(output)
        return InferResponse(payload.id or "0", self.name, found)

    @staticmethod
    def _array(value: InferInput):
        return value.as_numpy()


async def serve(bundle: Path, port: int) -> None:
    repository = ModelRepository()
    repository.update(Served(bundle))
    plane = DataPlane(repository)
    server = aio.server(interceptors=(ExceptionToStatusInterceptor(),))
    servicer = InferenceServicer(plane, ModelRepositoryExtension(repository))
    grpc_predict_v2_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
