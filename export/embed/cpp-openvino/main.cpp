// A bundle in a C++ program, through OpenVINO: raw uint8 pixels into model.onnx, nothing prepared. See README.md.
#include <openvino/openvino.hpp>

#include <algorithm>
#include <cstdio>

#include "../bundle.hpp"

namespace fs = std::filesystem;

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: classify BUNDLE\n");
        return 2;
    }
    const fs::path bundle = argv[1];
    try {
        const Promise promise(bundle);
        ov::Core core;
        // By itself OpenVINO computes in bfloat16 where the CPU can: 5e-3 away.
        ov::CompiledModel model = core.compile_model((bundle / "model.onnx").string(), "CPU", ov::hint::inference_precision(ov::element::f32));
        ov::InferRequest request = model.create_infer_request();
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
            npy::Array expected = npy::load(sample.path() / (promise.output + ".npy"));
            double error = promise.error(values, static_cast<int64_t>(answer.get_size()), expected);
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
