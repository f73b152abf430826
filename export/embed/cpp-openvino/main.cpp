// A bundle in a C++ program, through OpenVINO: raw uint8 pixels into model.onnx, nothing prepared. See README.md.
#include <openvino/openvino.hpp>

#include <algorithm>
#include <cstdio>

#include "../bundle.hpp"

namespace fs = std::filesystem;

// By itself OpenVINO computes in bfloat16 where the CPU can: 5e-3 away.
static ov::CompiledModel compile(const fs::path& file) {
    static ov::Core core;
    return core.compile_model(file.string(), "CPU", ov::hint::inference_precision(ov::element::f32));
}

// A conformance case: the steps alone.
static std::vector<float> run(const fs::path& file, npy::Array input) {
    ov::InferRequest request = compile(file).create_infer_request();
    const auto dtype = input.dtype == "|u1" ? ov::element::u8 : input.dtype == "<u2" ? ov::element::u16 : ov::element::f32;
    request.set_input_tensor(ov::Tensor(dtype, ov::Shape(input.shape.begin(), input.shape.end()), input.bytes.data()));
    request.infer();
    ov::Tensor answer = request.get_output_tensor();
    return {answer.data<float>(), answer.data<float>() + answer.get_size()};
}

int main(int argc, char** argv) {
    if (argc == 3 && std::string(argv[1]) == "--conformance") return conformance(argv[2], "model.onnx", run);
    if (argc != 2) {
        std::fprintf(stderr, "usage: classify BUNDLE\n       classify --conformance FOLDER\n");
        return 2;
    }
    const fs::path bundle = argv[1];
    try {
        const Promise promise(bundle);
        ov::InferRequest request = compile(bundle / "model.onnx").create_infer_request();
        double worst = 0;
        int samples = 0;
        for (const auto& sample : fs::directory_iterator(bundle / "golden")) {
            npy::Array pixels = npy::load(sample.path() / "pixels.npy");
            if (pixels.dtype != "|u1") throw std::runtime_error("expected pixels in uint8, got " + pixels.dtype);
            ov::Shape shape(pixels.shape.begin(), pixels.shape.end());
            request.set_tensor("pixels", ov::Tensor(ov::element::u8, shape, pixels.bytes.data()));  // that is all
            request.infer();
            ov::Tensor answer = request.get_tensor(promise.output);
            const float* values = answer.data<float>();
            npy::Array expected = npy::load(sample.path() / promise.file);
            double error = npy::distance(values, static_cast<int64_t>(answer.get_size()), expected) / promise.scale;
            std::printf("%-20s class %td, error %.1e\n", sample.path().filename().c_str(),
                        std::max_element(values, values + answer.get_shape().back()) - values, error);
            worst = std::max(worst, error);
            ++samples;
        }
        std::printf("%d golden samples: error %.1e, tolerance %.1e\n", samples, worst, promise.tolerance);
        return samples > 0 && worst <= promise.tolerance ? 0 : 1;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
}
