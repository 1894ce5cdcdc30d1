# The example of the article that Posthorn's three parts come from: event listener, data sender, receiver. As it stands there, but for the
# URL, which is the first argument.
import requests
import json
import sys

# 事件监听器
def on_order_created(order):
    # 当订单创建时，发送数据到接收器
    send_data_to_receiver(order)

# 数据发送器
def send_data_to_receiver(data):
    url = sys.argv[1]
    headers = {"Content-Type": "application/json"}
    response = requests.post(url, data=json.dumps(data), headers=headers)
    if response.status_code == 200:
        print("数据发送成功")
    else:
        print("数据发送失败")

# 主函数
def main():
    # 监听订单创建事件
    on_order_created({"order_id": "12345", "status": "created"})

if __name__ == "__main__":
    main()
