// A bundle in a C++ program, through OpenVINO: raw pixels into model.onnx, nothing prepared. See README.md.
#include <openvino/openvino.hpp>

#include "../bundle.hpp"

class Model {
   public:
    // By itself OpenVINO computes in bfloat16 where the CPU can: 5e-3 away.
    explicit Model(const fs::path& file)
        : model_(core().compile_model(file.string(), "CPU", ov::hint::inference_precision(ov::element::f32))),
          request_(model_.create_infer_request()) {}

    // NCHW or NHWC as the contract says; pixels live as long as the call.
    std::vector<Answer> operator()(npy::Array& pixels) {
        static const std::map<std::string, ov::element::Type> DTYPES = {
            {"|u1", ov::element::u8}, {"<u2", ov::element::u16}, {"<f4", ov::element::f32}};
        const ov::Shape shape(pixels.shape.begin(), pixels.shape.end());
        request_.set_input_tensor(ov::Tensor(DTYPES.at(pixels.dtype), shape, pixels.bytes.data()));  // that is all
        request_.infer();
        std::vector<Answer> answers;
        for (size_t i = 0; i < model_.outputs().size(); ++i) {
            ov::Tensor found = request_.get_output_tensor(i);
            const ov::Shape sides = found.get_shape();
            answers.push_back({{sides.begin(), sides.end()}, {found.data<float>(), found.data<float>() + found.get_size()}});
        }
        return answers;
    }

   private:
    static ov::Core& core() {
        static ov::Core made;
        return made;
    }

    ov::CompiledModel model_;
    ov::InferRequest request_;
};

int main(int argc, char** argv) { return check_main<Model>(argc, argv, "model.onnx"); }
